"""Templates: what they mean, and what is proved of their keys."""

from __future__ import annotations

import pytest

from migrator.mapping.key_proofs import disjoint, key_pattern, proves_unique, set_apart
from migrator.mapping.model import ColumnValue, FilterCall
from migrator.mapping.templates import TemplateError, fill, parse_column, parse_template, render_text
from migrator.source.schema import Column


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("USER#{id}", {"id": 7}, "USER#7"),
        ("{a}#{b|upper}", {"a": "x", "b": "y"}, "x#Y"),
        ("{{literal}}", {}, "{literal}"),
        ("}}{a}{{", {"a": 1}, "}1{"),
        ('{"a b"}', {"a b": "v"}, "v"),
        ('{"a|b"|lower}', {"a|b": "V"}, "v"),
        ('{"say ""hi"""}', {'say "hi"': 1}, "1"),
        ("{日本}", {"日本": "x"}, "x"),
        ('{a|default("n/a")}', {"a": None}, "n/a"),
        ("{a|pad(5)}", {"a": 42}, "00042"),
        ("{a|prefix('it''s ')}", {"a": "x"}, "it's x"),
        ("no columns", {}, "no columns"),
        ("A#{a}", {"a": None}, None),
        ("{r}", {"r": 1.0}, "1.0"),
    ],
)
def test_a_template_renders(text, row, expected):
    assert render_text(parse_template(text), lambda column: row[column.column]) == expected


@pytest.mark.parametrize("text", ["{", "}", "{}", "{a", "{a|}", "{a b}", "{a|lower(}", "{a|pad(x)}", "{@}", "{a}}"])
def test_what_is_no_template_is_refused(text):
    with pytest.raises(TemplateError):
        parse_template(text)


def test_builtins_are_told_from_columns_of_that_name():
    assert parse_column("@rowid") == ColumnValue("rowid", builtin=True)
    assert parse_column('"@rowid"') == ColumnValue("@rowid")
    assert parse_column(' email | trim | split(",", 2) ') == ColumnValue(
        "email", (FilterCall("trim"), FilterCall("split", (",", 2)))
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("USER#{a}", "CIRCLE#{a}", True),
        ("USER#{a}", "USER#{b}", False),
        ("USER#{a}", "US{b}", False),
        ("PROFILE", "PROFILE", False),
        ("PROFILE", "CIRCLE#{a}", True),
        ("USER#1", "USER#{a}", False),
        ("{a}#x", "{a}#y", True),
        ("{a}", "USER#1", False),
    ],
)
def test_disjoint_templates(one, other, expected):
    assert disjoint(parse_template(one), parse_template(other)) is expected
    assert disjoint(parse_template(other), parse_template(one)) is expected


COLUMNS = {
    "id": Column("id", affinity="INTEGER"),
    "code": Column("code", affinity="TEXT"),
    "loose": Column("loose", affinity="BLOB"),
}


@pytest.mark.parametrize(
    ("templates", "key_type", "unique", "expected"),
    [
        (["USER#{id}"], "S", {"id"}, True),
        (["USER#{id|lower}"], "S", {"id"}, False),
        (["{loose}"], "S", {"loose"}, False),
        (["{code}"], "S", {"code"}, True),
        (["{code}"], "N", {"code"}, False),
        (["{id}"], "N", {"id"}, True),
        (["{code}"], "B", {"code"}, False),
        (["A#{id}", "B#{code}"], "S", {"id", "code"}, True),
        (["A#{id}#{code}"], "S", {"id", "code"}, False),
        (["A#{id}"], "S", {"id", "code"}, False),
        (["{@rowid}"], "S", {"@rowid"}, True),
    ],
)
def test_unique_keys_are_proved_only_where_the_schema_guarantees_them(templates, key_type, unique, expected):
    keys = [(parse_template(text), key_type) for text in templates]
    assert proves_unique(keys, [frozenset(unique)], COLUMNS) is expected


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        (["TENANT#{@stem}", "ORDER#{id}"], True),  # what a file says is the same for all its rows
        (["TENANT#{@stem}#ORDER#{id}"], True),
        (["TENANT#{@stem}", "ORDER#{name}"], False),
    ],
)
def test_what_a_file_says_takes_no_uniqueness_away(templates, expected):
    keys = [(parse_template(text), "S") for text in templates]
    assert proves_unique(keys, [frozenset({"id"})], COLUMNS) is expected


@pytest.mark.parametrize(
    ("template", "stems", "expected"),
    [
        ("TENANT#{@stem}", ["a", "ab"], True),
        ("TENANT#{@stem}#{id}", ["a", "ab"], True),
        ("TENANT#{@stem}{id}", ["a", "ab"], False),
        ("TENANT#{@stem}#{id}", ["a", "a#b"], False),
        ("{id}#{@stem}", ["a", "b"], True),
        ("{id}{@stem}", ["b", "ab"], False),
        ("{@stem|lower}#{id}", ["A", "a"], False),
        ("{@stem|prefix('T#')}", ["a", "b"], True),
        ("{@stem|number}#{id}", ["a", "b"], False),  # which rejects every row
        ("{id}", ["a", "b"], False),
        ("{a}#{@stem}#{b}", ["a", "b"], False),
    ],
)
def test_files_are_set_apart_only_where_no_text_can_come_from_two(template, stems, expected):
    parsed = parse_template(template)
    assert set_apart(fill(parsed, {"stem": stem}) for stem in stems) is expected


def test_many_files_are_set_apart_as_two_are():
    parsed = parse_template("{@stem}#{id}")
    stems = [f"tenant-{n}" for n in range(2000)]
    assert set_apart(fill(parsed, {"stem": stem}) for stem in stems)
    assert not set_apart(fill(parsed, {"stem": stem}) for stem in [*stems, "tenant-7"])


def test_a_file_name_that_is_not_utf8_is_left_to_the_rows():
    parsed = parse_template("{@stem}")
    assert fill(parsed, {"stem": "a\udcff"}) == parsed


def test_a_key_pattern_matches_what_the_template_gives_over_lines():
    assert key_pattern(parse_template("A.#{x}")).fullmatch("A.#a\nb")
    assert not key_pattern(parse_template("A.#{x}")).fullmatch("AB#a")
