"""Generated encoders give what the plain renderer gives, for any mapping and any row, and DynamoDB's own JSON."""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.serialize
import botocore.session
import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import HealthCheck, event, given, settings

from migrator.errors import RowRejected
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.canonical import digest, key_text, key_texts, wire_digest
from migrator.mapping.compile import compile_entity
from migrator.mapping.document import load_mapping
from migrator.mapping.encoded import EncodedItem, EncodedRow, encode_item, identity_of
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.reads import to_read
from migrator.mapping.render import EntityRenderer
from migrator.source.connection import connect
from migrator.source.read import WHOLE
from migrator.source.reflection import reflect_schema
from migrator.source.rows import iter_batches, layout_of
from migrator.source.snapshot import take_snapshot
from strategies import Case, cases
from usual_cases import usual_cases

CONTEXT = RenderContext(1_800_000_000, "shop é.sqlite", "shop é", (("tenant", 'acme "1"'), ("empty", "")))


def plain(case: Case, *, validate: bool = True) -> list[Any]:
    """What the plain renderer makes of each row."""
    renderer = EntityRenderer(case.entity, case.read, case.table, CONTEXT, validate=validate)
    return [_plain(renderer, case, layout_of(case.read).row(raw)) for raw in case.rows]


def _plain(renderer: EntityRenderer, case: Case, row: Any) -> Any:
    try:
        rendered = renderer.render(row)
    except RowRejected as reject:
        return reject.code, reject.column, reject.detail
    return rendered.warnings, [(position, known(encode_item(item, case.table))) for position, item in rendered.items]


def compiled(case: Case, *, validate: bool = True) -> list[Any]:
    """What the generated encoder makes of each row."""
    encoder = compile_entity(case.entity, case.read, case.table, CONTEXT, validate=validate)
    return [_compiled(outcome) for outcome in encoder.encode_rows(case.rows)]


def _compiled(outcome: EncodedRow | RowRejected) -> Any:
    if isinstance(outcome, RowRejected):
        return outcome.code, outcome.column, outcome.detail
    return outcome.warnings, [(position, known(item)) for position, item in outcome.items]


def assert_by_columns_alike(case: Case) -> int:
    """In chunks of one, of two and of all rows; how many of these were encoded so."""
    encoder = compile_entity(case.entity, case.read, case.table, CONTEXT)
    unasked = compile_entity(case.entity, case.read, case.table, CONTEXT, identities=False)
    canonical = compile_entity(case.entity, case.read, case.table, CONTEXT, canonical=True)
    expected = list(zip(case.rows, plain(case), strict=True))
    chunks = [expected[n : n + size] for size in (1, 2, len(expected)) if size for n in range(0, len(expected), size)]
    taken = 0
    for chunk in chunks:
        items = encoder.encode_items([raw for raw, _ in chunk])
        if items is not None:
            assert [(0, [(0, known(item))]) for item in items] == [outcome for _, outcome in chunk]
            assert items.size_bytes == sum(item.size_bytes for item in items)
            anonymous = unasked.encode_items([raw for raw, _ in chunk])
            assert [item._replace(identity=identity_of(item, case.table)) for item in anonymous] == list(items)
            by_name = canonical.encode_items([raw for raw, _ in chunk])
            assert list(map(known, by_name)) == list(map(known, items))
            if canonical.is_canonical:
                assert [wire_digest(wire) for wire in by_name.wires] == [digest(item.attributes) for item in items]
            assert key_texts(items.identities, case.table) == [key_text(item.attributes, case.table) for item in items]
            taken += 1
    return taken


def known(item: EncodedItem) -> Any:
    """All of an encoded item, the order of its attributes aside."""
    return json.loads(item.wire), item.identity, hash(item.identity), item.size_bytes, item.write_units


# ---- any mapping, any row


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=200)
@given(cases() | usual_cases())
def test_an_encoder_gives_what_the_plain_renderer_gives(case):
    assert compiled(case) == plain(case)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=200)
@given(cases() | usual_cases() | usual_cases())
def test_by_columns_it_gives_the_same_or_declines(case):
    event(f"encoded by columns: {bool(assert_by_columns_alike(case))}")


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
@given(cases())
def test_also_where_items_are_not_validated(case):
    assert compiled(case, validate=False) == plain(case, validate=False)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
@given(cases())
def test_the_wire_is_what_botocore_would_send_and_boto3_would_read(case):
    encoder = compile_entity(case.entity, case.read, case.table, CONTEXT)
    renderer = EntityRenderer(case.entity, case.read, case.table, CONTEXT)
    for raw, outcome in zip(case.rows, encoder.encode_rows(case.rows), strict=True):
        if isinstance(outcome, EncodedRow):
            rendered = [item.attributes for _, item in renderer.render(encoder.layout.row(raw)).items]
            encoded = [item for _, item in outcome.items]
            assert [json.loads(item.wire) for item in encoded] == list(map(as_botocore_sends, rendered))
            assert [read_by_boto3(item.attributes) for item in encoded] == list(map(read_by_boto3, rendered))


@lru_cache
def serializer() -> Any:
    model = botocore.session.Session().get_service_model("dynamodb")
    return botocore.serialize.create_serializer("json", include_validation=False), model.operation_model("PutItem")


def as_botocore_sends(attributes: Any) -> Any:
    write, operation = serializer()
    return json.loads(write.serialize_to_request({"TableName": "t", "Item": attributes}, operation)["body"])["Item"]


def read_by_boto3(attributes: Any) -> Any:
    return {name: TypeDeserializer().deserialize(value) for name, value in attributes.items()}


# ---- what files hold

LARGEST = 400 * 1024
_LITERALS = r"""
NULL 0 1 -1 2 9007199254740993 -9223372036854775808 9223372036854775807 1000000 -1000
0.0 -0.0 1.0 -1.0 0.1 1.5e300 1e16 123456.75 9e999 -9e999 5e-324 1.7976931348623157e308 1e126 1e125 2440587.5
'' char(32) 'a' 'é' '😀' 'a"b' 'a\b' x'00' x'' x'ff' char(10) char(1,0,31,127)
'1' '1.0' '007' '1.50' '1,234.50' '-0' '1e5' 'true' 't' 'False' '0000-00-00' '2024-02-30' '2024-01-31'
'2024-01-31T12:34:56Z' '{"a":1}' '[1,1.0]' '[]' '{"":1}' '{oops'
CAST(x'ff'AS"TEXT") CAST(x'610062'AS"TEXT") CAST(x'eda0bd'AS"TEXT")
printf('%.2049c','x') printf('%.1025c','é') printf('%.410000c','x')
"""
NASTY = _LITERALS.split()
ATTRIBUTES = [
    "a: v",
    "a: v|trim|lower",
    "a: v|default(0)",
    "a: \"v|nullif('1', 1)|string\"",
    "a: v|json",
    "a: v|json|set",
    "a: v|number",
    "a: v|bool",
    "a: v|epoch",
    "a: v|iso8601",
    "a: v|binary",
    "a: {template: 'x{v}{v}'}",
    "a: {map: {b: v, c: {map: {d: v}}}}",
    "a: {list: {source: t, match: {id: id}, attributes: {b: v}}}",
    "a: {list: {source: t, match: {id: id}, value: v}}",
    "a: {list: {source: t, match: {id: id}, value: {template: '{@rowid}{@stem}'}}}",
    "a: {one: {source: t, match: {id: id}, attributes: {b: v}}}",
    "a: {entries: {source: t, match: {id: id}, name: v, value: v}}",
]


@pytest.fixture(scope="module", params=["UTF-8", "UTF-16"])
def nasty_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("nasty") / "shop.sqlite"
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA encoding = '{request.param}'")
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v, number DECIMAL, flag BOOLEAN, document JSON)")
    database.executemany("INSERT INTO t (id) VALUES (?)", [(n,) for n in range(len(NASTY))])
    for n, literal in enumerate(NASTY):
        database.execute(f"UPDATE t SET (v, number, flag, document) = ({', '.join([literal] * 4)}) WHERE id = {n}")
    database.commit()
    database.close()
    return path


def read_case(source: Any, mapping_file: Any, *, table: str, key: str, attributes: str, more: str = "") -> Case:
    mapping_file.write_text(
        f"table: {table}\nentities: {{Thing: {{source: t, key: {{{key}}}, attributes: {{{attributes}}}{more}}}}}",
        "utf-8",
    )
    mapping = load_mapping(mapping_file)
    with connect(take_snapshot(source)) as connection:
        schema = reflect_schema(connection, str(source))
        (entity,) = bind(mapping, schema, connection).entities
        read = to_read(entity, lambda spec: relation_of(spec, schema, connection))
        rows = [raw for batch in iter_batches(connection, read, WHOLE) for raw in batch]
    return Case(entity, read, mapping.table, rows)


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_what_real_files_hold_is_encoded_alike_as_an_attribute(nasty_file, tmp_path, attributes):
    table = "{name: things, partition_key: PK}"
    for nulls in ("omit", "keep"):
        case = read_case(
            nasty_file,
            tmp_path / "m.yaml",
            table=table,
            key="PK: '{id}'",
            attributes=attributes,
            more=f", nulls: {nulls}",
        )
        assert compiled(case) == plain(case)
        assert_by_columns_alike(case)


@pytest.mark.parametrize("key", ["'{v}'", "'K#{v}'", "'{v|default(1)}'", "'{v}{id}'", "'{@rowid}'", "'{v|string}'"])
@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_what_real_files_hold_is_encoded_alike_as_a_key(nasty_file, tmp_path, kind, key):
    index = f"{{GSI: {{partition_key: {{G: {kind}}}, projection: KEYS_ONLY}}}}"
    table = f"{{name: things, partition_key: {{PK: {kind}}}, sort_key: {{SK: {kind}}}, global_indexes: {index}}}"
    for keys in (f"PK: {key}, SK: '1'", f"PK: '1', SK: {key}", f"PK: '1', SK: '2', G: {key}"):
        keys = keys.replace("'1'", "'{id}'").replace("'2'", "'{id}'")
        case = read_case(nasty_file, tmp_path / "m.yaml", table=table, key=keys, attributes="a: document")
        assert compiled(case) == plain(case)
        assert_by_columns_alike(case)


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_an_index_key_that_is_a_plain_attribute_is_held_to_its_type(nasty_file, tmp_path, kind):
    table = f"{{name: things, partition_key: PK, global_indexes: {{GSI: {{partition_key: {{v: {kind}}}}}}}}}"
    case = read_case(nasty_file, tmp_path / "m.yaml", table=table, key="PK: '{id}'", attributes="b: flag")
    assert compiled(case) == plain(case)


@pytest.mark.parametrize("letter", ["x", "é", "\n", '"'])
def test_an_item_may_be_as_large_as_dynamodb_takes_it_and_not_a_byte_larger(tmp_path, letter):
    beside = len("PK") + len("1") + len("v")
    sizes = (LARGEST - 1, LARGEST, LARGEST + 1)
    texts = [letter.encode() * ((size - beside) // len(letter.encode())) for size in sizes]
    exact = [text + b"x" * (size - beside - len(text)) for text, size in zip(texts, sizes, strict=True)]
    source = tmp_path / "shop.sqlite"
    database = sqlite3.connect(source)
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    database.executemany("INSERT INTO t VALUES (?, ?)", [(n, text.decode()) for n, text in enumerate(exact)])
    database.commit()
    database.close()
    table = "{name: things, partition_key: PK}"
    case = read_case(source, tmp_path / "m.yaml", table=table, key="PK: '{id}'", attributes="", more=", columns: rest")
    outcomes = compiled(case)
    assert outcomes == plain(case)
    assert_by_columns_alike(case)
    assert [outcome[0] for outcome in outcomes] == [0, 0, "item_too_large"]


# ---- that it is worth it


def test_usual_rows_never_reach_the_plain_renderer(nasty_file, tmp_path, monkeypatch):
    case = read_case(
        nasty_file,
        tmp_path / "m.yaml",
        table="{name: things, partition_key: PK}",
        key="PK: 'K#{id}'",
        attributes="a: v, b: {map: {c: number}}, d: {list: {source: t, match: {id: id}, value: flag}}",
    )
    usual = [raw for raw, outcome in zip(case.rows, plain(case), strict=True) if not isinstance(outcome[0], str)]

    def refuse(*_: object) -> None:
        raise AssertionError("a usual row went to the plain renderer")

    monkeypatch.setattr(EntityRenderer, "render", refuse)
    assert len(usual) > len(NASTY) / 2
    assert len(compiled(Case(case.entity, case.read, case.table, usual))) == len(usual)


@pytest.mark.parametrize(
    "attributes",
    [
        "name: name, price: price",
        "label: {template: '{id}: {name}'}, kind: {value: thing}",
        "document: document, again: document|json",
        "flag: flag",
        "inner: {map: {name: name, price: price, deep: {map: {id: id}}}}",
        "children: {list: {source: c, match: {t: id}, attributes: {n: n}}}",
        "children: {list: {source: c, match: {t: id}, value: n}}",
        "child: {one: {source: o, match: {t: id}, attributes: {n: n}}}",
        "children: {list: {source: o, match: {t: id}, value: {list: {source: c, match: {t: t}, value: n}}}}",
    ],
)
@pytest.mark.parametrize("nulls", ["omit", "keep"])
def test_usual_rows_are_encoded_by_columns(tmp_path, attributes, nulls):
    source = tmp_path / "shop.sqlite"
    database = sqlite3.connect(source)
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL, flag BOOLEAN, document JSON, b)")
    database.execute("CREATE TABLE c (t, n)")
    rows = [(n, f'né"{n}', n / 8 if n % 3 else None, n % 2, '{"a": [1.50, null]}', b"\xff" * n) for n in range(-5, 20)]
    database.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.execute("UPDATE t SET name = NULL WHERE id % 4 = 2")
    database.executemany("INSERT INTO c VALUES (?, ?)", [(n % 7, 1e-9 * n) for n in range(30)])
    database.execute("CREATE TABLE o (t, n)")
    database.executemany("INSERT INTO o VALUES (?, ?)", [(n, n) for n in range(5)])
    database.commit()
    database.close()
    table = "{name: things, partition_key: PK, sort_key: {id: N}, global_indexes: {GSI: {partition_key: B}}}"
    keys = "PK: 'é#{id}', id: '{id}', B: '{name}'"
    more = f", nulls: {nulls}, columns: {{except: [document]}}"
    case = read_case(source, tmp_path / "m.yaml", table=table, key=keys, attributes=attributes, more=more)
    chunks_of_all_sizes = len(case.rows) + -(-len(case.rows) // 2) + 1
    assert assert_by_columns_alike(case) == chunks_of_all_sizes


DOCUMENTS = [
    ['{"a": 1, "b": [true, null]}', '{"b": [], "a": -7}'],
    ['{"price": 1.50}', '{"price": 0.0}', '{"price": -1e5}', '{"price": 0.00000000000000000000001}'],
    ['{"a": {}}', '{"a": {"b": {"c": "é"}}}', '{"b": "x"}', "[]"],
    ['["x", 1, {"y": [[1.0], []]}, false]', "[[[]]]"],
    ['{"a": "\\"\\\\", "b": "\\ud83d\\ude00\\n"}', ' {"a": ":\\\\", "b": "{\\"S\\":"}\n'],
    [f'{{"name {n}": {n}}}' for n in range(40)],
]


def test_canonical_items_are_in_order_also_where_rows_lack_what_comes_first(tmp_path):
    source = tmp_path / "shop.sqlite"
    with sqlite3.connect(source) as database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, A, v)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, None, 1.0), (2, "x", None), (3, None, None)])
    table = "{name: things, partition_key: PK}"
    case = read_case(source, tmp_path / "m.yaml", table=table, key="PK: 'T#{id}'", attributes="")
    encoder = compile_entity(case.entity, case.read, case.table, CONTEXT, canonical=True)
    assert encoder.is_canonical
    assert encoder.encode_items(case.rows).wires == [
        b'{"PK":{"S":"T#1"},"v":{"N":"1"}}',
        b'{"A":{"S":"x"},"PK":{"S":"T#2"}}',
        b'{"PK":{"S":"T#3"}}',
    ]


@pytest.mark.parametrize("texts", DOCUMENTS)
def test_documents_are_encoded_by_columns_whatever_their_shapes(tmp_path, texts):
    assert assert_by_columns_alike(case_of_documents(tmp_path, texts)) > 0


@pytest.mark.parametrize("odd", ['{"a": 1, "a": 1}', '{"a": NaN}', '["\\ud83d"]', "[1", f"[{'9' * 40}]", '{"": 1}'])
def test_a_document_that_rejects_its_row_is_never_encoded_by_columns(tmp_path, odd):
    case = case_of_documents(tmp_path, [odd])
    assert assert_by_columns_alike(case) == 0
    assert compiled(case) == plain(case)


def case_of_documents(folder: Path, texts: list[str]) -> Case:
    database = sqlite3.connect(folder / "shop.sqlite")
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, d TEXT)")
    database.executemany("INSERT INTO t VALUES (?, ?)", enumerate(texts))
    database.commit()
    database.close()
    table = "{name: things, partition_key: PK}"
    return read_case(folder / "shop.sqlite", folder / "m.yaml", table=table, key="PK: '{id}'", attributes="a: d|json")


def test_text_of_the_user_is_never_source_of_a_program(tmp_path):
    source = tmp_path / "shop.sqlite"
    name = "\"]}'''\\n{raise SystemExit}#"
    quoted = '"' + name.replace('"', '""') + '"'
    database = sqlite3.connect(source)
    database.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {quoted})")
    database.execute(f"INSERT INTO t (id, {quoted}) VALUES (1, ?)", [name])
    database.commit()
    database.close()
    column = json.dumps(quoted)
    case = read_case(
        source,
        tmp_path / "m.yaml",
        table="{name: things, partition_key: PK}",
        key=f"PK: {json.dumps('{id}#' + name.replace('{', '{{').replace('}', '}}'))}",
        attributes=f"{json.dumps(name)}: {column}, b: {{value: {json.dumps(name)}}}",
    )
    assert compiled(case) == plain(case)
    assert compiled(case)[0][1][0][1][0][name] == {"S": name}
