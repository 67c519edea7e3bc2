"""A design as YAML means what was designed, whatever tables and columns are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import StaticPool

from migrator.advise.design_yaml import mapping_text, name, plan_name, text
from migrator.advise.suggest import suggest
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.document import read_mapping
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.reads import to_read
from migrator.mapping.render import EntityRenderer
from migrator.source.read import WHOLE
from migrator.source.reflection import reflect_schema
from migrator.source.relation import quote
from migrator.source.rows import iter_rows
from migrator.source.text import decode_text
from migrator.yamlfile import parse_yaml

#: What has a meaning to YAML, to templates, to SQL or to ${VAR}, and some that mean nothing.
CHARACTERS = "ab0_ $#{}\"'`:,%|@!&*-?>[]()\\\n\t\x7f\u2028é日😀"
NAMES = st.text(CHARACTERS, max_size=6)
COLUMNS = st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower)
SPECIAL = st.sampled_from(
    ["PK", "SK", "ttl", "true", "null", "no", "007", "1e3", "${HOME}", "$${x}", "@rowid", "items", "~"]
)


@contextmanager
def opened(*statements: str) -> Iterator[Connection]:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.text_factory = decode_text
    for statement in statements:
        raw.execute(statement)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def rendered(connection: Connection) -> list[dict[str, Any]]:
    """All items of the design that is suggested, by way of its YAML."""
    schema = reflect_schema(connection, "/folder/source.sqlite")
    design = suggest(connection, schema, "table")
    (table,) = design.tables
    mapping = bind(read_mapping(parse_yaml(mapping_text(design, table), Path("m.yaml"))), schema, connection)
    items = []
    for entity in mapping.entities:
        read = to_read(entity, partial(relation_of, schema=schema, connection=connection))
        renderer = EntityRenderer(entity, read, mapping.table, RenderContext(0))
        for row in iter_rows(connection, read, WHOLE):
            items += [item.attributes for _, item in renderer.render(row).items]
    return items


@given(NAMES | SPECIAL, COLUMNS, SPECIAL)
def test_every_value_is_in_the_item_whatever_the_names(table: str, columns: list[str], special: str) -> None:
    if special.lower() not in map(str.lower, columns):
        columns = [*columns, special]
    if table.lower().startswith("sqlite_"):
        table = "t"
    values = [f"value {n}" for n in range(len(columns))]
    made = ", ".join(f"{quote(column)} TEXT" for column in columns)
    with opened(
        f"CREATE TABLE {quote(table)} ({made}, PRIMARY KEY ({quote(columns[0])}))",
        f"INSERT INTO {quote(table)} VALUES ({', '.join(map(repr, values))})",
    ) as connection:
        (item,) = rendered(connection)
    copied = [content["S"] for attribute, content in item.items() if attribute not in ("PK", "SK")]
    assert sorted(copied) == values
    assert {column for column in columns if column not in ("", "PK", "SK")} <= item.keys()


@given(st.text(max_size=8))
def test_text_reads_back_in_braces_and_out_of_them(value: str) -> None:
    document = f"a: {text(value)}\nb: {{{name(value)}: {text(value)}}}\n"
    assert parse_yaml(document, Path("m.yaml"), {}).data == {"a": value, "b": {value: value}}


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("shop", "shop"), ("..a/b", "a_b"), ("a\nb", "a_b"), ("", "migration"), ("é" * 60, "é" * 50), ("${X}", "${X}")],
)
def test_a_plans_name_can_name_a_folder(stem: str, expected: str) -> None:
    assert plan_name(stem) == expected
