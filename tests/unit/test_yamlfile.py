"""YAML 1.2, variables, and where each problem is said to be."""

from __future__ import annotations

from decimal import Decimal

import pytest

from migrator.errors import DocumentError
from migrator.yamlfile import Variable, load_yaml


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_load(text, environ=None):
        (tmp_path / "shop.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_yaml("shop.yaml", environ or {}).data

    return write_and_load


@pytest.fixture
def problems(load):
    def of(text, environ=None):
        with pytest.raises(DocumentError) as caught:
            load(text, environ)
        return [str(problem) for problem in caught.value.problems]

    return of


# YAML 1.2.2, 10.3.2 "Tag Resolution"; 007 is text by our own rule.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("0", 0),
        ("-12", -12),
        ("+5", 5),
        ("0o17", 15),
        ("0x1F", 31),
        ("007", "007"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("190:20:30", "190:20:30"),
        ("9223372036854775808", 9223372036854775808),
        ("1.50", Decimal("1.50")),
        ("0.1", Decimal("0.1")),
        ("-.5", Decimal("-0.5")),
        ("1e5", Decimal("1E+5")),
        ("007.5", "007.5"),
        ("3.141592653589793238462643383279", Decimal("3.141592653589793238462643383279")),
        (".inf", Decimal("Infinity")),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
        ("=", "="),
        ("'true'", "true"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("!!int 5", 5),
        ("{id: N}", {"id": "N"}),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(load, text, expected):
    value = load(f"key: {text}")["key"]
    assert (value, type(value)) == (expected, type(expected))


def test_keys_are_text(load):
    assert list(load("1: a\ntrue: b\non: c\n~: d\n1.0: e\n<<: f")) == ["1", "true", "on", "~", "1.0", "<<"]


def test_anchors_and_aliases_are_followed(load):
    assert load("a: &x {b: [1]}\nc: *x") == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_a_byte_order_mark_is_not_part_of_the_text(load):
    assert load(b"\xef\xbb\xbfa: 1") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-${NAME}-b", "a-shop-b"),
        ("${NAME:-x}", "shop"),
        ("${UNSET:-dev}", "dev"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-dev}", "dev"),
        ("${EMPTY}", ""),
        ("$${NAME}", "${NAME}"),
        ("$NAME", "$NAME"),
        ("${NAME}#{id}", "shop#{id}"),
        ("${COUNT}", "5"),
    ],
)
def test_variables_are_filled_in_after_parsing(load, text, expected):
    assert load(f"key: '{text}'", {"NAME": "shop", "EMPTY": "", "COUNT": "5"})["key"] == expected


def test_filled_text_keeps_how_it_was_written(load):
    written = load("key: a-${X}-$${Y}-${Z:-z}", {"X": "x"})["key"].written
    assert [part for part in written if part] == ["a-", Variable("X", "x"), "-", "${", "Y}-", Variable("Z", "z")]


def test_a_variable_cannot_change_the_structure(load):
    assert load("key: ${X}", {"X": "a: b\nc: [d]"}) == {"key": "a: b\nc: [d]"}


def test_variables_are_not_filled_into_keys(load):
    assert load("${X}: 1", {"X": "a"}) == {"${X}": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["shop.yaml: is empty"]),
        ("# nothing", ["shop.yaml: is empty"]),
        ("- a", ["shop.yaml: is not a map of keys and values"]),
        (b"a: \xff", ["shop.yaml: is not UTF-8 text: invalid start byte at byte 3"]),
        (b"a: 1\nb: \x07", ["shop.yaml: line 2: the character U+0007 is not allowed in YAML"]),
        ("a: 1\na: 2", ['shop.yaml: the key "a" is given twice, in lines 1 and 2']),
        ("x: {1: a, '1': b}", ['shop.yaml: x: the key "1" is given twice, in line 1 twice']),
        ("x:\n  [a]: 1", ['shop.yaml: x: a key is text, not a list or map (line 2)\n  quote it, as in "{id}": …']),
        ("a: &x [*x]", ["shop.yaml: a[0]: this alias stands inside what it repeats"]),
        ("a: !env HOME", ["shop.yaml: a: the tag !env is not known here"]),
        ("a: !!timestamp 2026-11-21", ["shop.yaml: a: the tag !!timestamp is not known here"]),
        ("a: !!int x", ["shop.yaml: a: 'x' is no int"]),
        (
            "a:\n  - b: ${NOPE}",
            [
                "shop.yaml: a[0].b: the environment variable NOPE is not set\n"
                "  set it, or give a default: ${NOPE:-…};  $${ is a literal ${"
            ],
        ),
        (
            "a: ${b c}",
            [
                "shop.yaml: a: \"${\" in '${b c}' starts no variable\n"
                "  write ${NAME} or ${NAME:-default};  $${ is a literal ${"
            ],
        ),
        (
            "key: {PK: USER#{id}, SK: x}",
            [
                "shop.yaml: line 1, column 16: is not valid YAML: expected ',' or '}', but got '{'"
                ' while parsing a flow mapping\n  text with { or } stands in quotes, as in PK: "USER#{id}"'
            ],
        ),
        (
            "SK: @rowid",
            [
                "shop.yaml: line 1, column 5: is not valid YAML: found character '@' that cannot start any token"
                " while scanning for the next token\n  text that starts with @, ` or % stands in quotes"
            ],
        ),
        ("[" * 5000, ["shop.yaml: is nested too deeply"]),
    ],
)
def test_a_bad_file_says_where_and_what(problems, text, expected):
    assert problems(text) == expected


def test_all_problems_of_a_file_are_told_at_once(problems):
    assert len(problems("a: ${A}\nb: ${B}\nc: 1\nc: 2")) == 3


def test_aliases_of_aliases_end(problems):
    lines = ["l0: &l0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 200,000 values" in problems("\n".join(lines))[0]


@pytest.mark.parametrize(
    ("name", "expected"), [("none.yaml", "there is no such file"), (".", "is a folder, not a file")]
)
def test_what_is_no_file_is_a_document_error(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DocumentError, match=expected) as caught:
        load_yaml(tmp_path / name)
    assert caught.value.exit_code == 2


def test_a_file_elsewhere_is_named_in_full(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with pytest.raises(DocumentError) as caught:
        load_yaml("../x.yaml")
    assert caught.value.problems[0].file == str(tmp_path / "x.yaml")


def test_a_problem_knows_its_line(load):
    with pytest.raises(DocumentError) as caught:
        load("a: 1\nb:\n  c: ${NOPE}")
    assert caught.value.problems[0].line == 3
