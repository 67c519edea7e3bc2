"""A mapping file: YAML -> Mapping. What the file says alone; whether it fits a source is asked by `mapping.bind`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, cast

from msgspec import Struct

from migrator.errors import known_names
from migrator.mapping.expressions import (
    constant_key_problem,
    read_attributes,
    read_fixed,
    read_key_template,
    read_names,
    read_source,
)
from migrator.mapping.model import Entity, Expression, ItemSpec, KeyType, Mapping, Rule, TableDefinition, Template
from migrator.mapping.patterns import read_access_pattern
from migrator.mapping.rules import TYPES
from migrator.mapping.tabledef import read_table
from migrator.node import Fields, Node, describe, read_document
from migrator.yamlfile import Document, load_yaml

MAPPING_KEYS = ("version", "table", "items", "entities", "access_patterns")
ENTITY_KEYS = ("source", "where", "key", "attributes", "items", "columns", "nulls", "rules")
ITEM_KEYS = ("key", "attributes", "where")
RULE_KEYS = ("required", "type", "one_of", "min", "max", "max_length", "pattern", "unique", "severity")
#: The name under which reports count the fixed items.
FIXED_ITEMS = "items"

FixedItem = tuple[tuple[str, Expression], ...]


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file. Raises DocumentError with all its problems.

    The modules of its `python:` filters are looked for on Python's path, and then beside the file.
    """
    folder = str(Path(path).absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return read_mapping(load_yaml(path))


def read_mapping(document: Document) -> Mapping:
    """What a document says. Raises DocumentError with all its problems."""
    return read_document(document, _read_mapping)


def _read_mapping(node: Node) -> Mapping:
    fields = node.fields(*MAPPING_KEYS)
    fields.get("version", read_version, 1)
    table: TableDefinition | None = fields.need("table", read_table)
    keys = _Keys.of(table) if table is not None else None
    fixed = fields.get("items", lambda n: n.each(lambda item: _fixed_item(item, keys)), ())
    entities = fields.get("entities", lambda n: n.each_named(lambda entity: _entity(entity, keys)), ())
    names = list(node.value["entities"]) if isinstance(node.value.get("entities"), dict) else []
    patterns = fields.get("access_patterns", lambda n: n.each_named(lambda p: read_access_pattern(p, table, names)), ())
    if "entities" not in fields and "items" not in fields:
        fields.fail("there is nothing to write", "add entities: or items:")
    fields.finish()
    assert table is not None  # else finish() has raised
    return Mapping(
        node.document.file, table, tuple(e for _, e in entities), fixed, tuple(pattern for _, pattern in patterns)
    )


def read_version(node: Node) -> int:
    if node.integer() != 1:
        node.refuse(f"must be 1, and is {node.value}")
    return 1


# ---- keys


class _Keys(Struct, frozen=True):
    """The attributes that are keys: those of the table, which an item must have, and those of indexes alone."""

    table: dict[str, KeyType]
    index: dict[str, KeyType]

    @classmethod
    def of(cls, table: TableDefinition) -> _Keys:
        return cls({key.name: key.type for key in table.key_attributes}, table.index_key_types())

    @property
    def all(self) -> dict[str, KeyType]:
        return self.table | self.index


def _check_complete(node: Node, given: Iterable[str], keys: _Keys) -> None:
    missing = [name for name in keys.table if name not in given]
    if missing:
        node.refuse(f"the table's key {' and '.join(map(describe, missing))} is missing")


def _fixed_item(node: Node, keys: _Keys | None) -> FixedItem:
    attributes = node.each_named(read_fixed)
    if keys is None:
        return attributes
    _check_complete(node, node.value, keys)
    for name, value in attributes:
        problem = constant_key_problem(value, keys.all[name]) if name in keys.all else None
        if problem:
            node.note(problem, at=name)
    return attributes


def _key(node: Node, keys: _Keys | None) -> tuple[tuple[str, Template], ...]:
    types = keys.all if keys else {}
    templates = node.each_named(lambda n: read_key_template(n, types.get(n.key, "S")))
    if keys is None:
        return templates
    for name, _ in templates:
        if name not in types:
            node.note(
                f'"{name}" is no key of the table or of an index',
                known_names("keys", types, name),
                "what is no key stands in attributes:",
                at=name,
            )
    _check_complete(node, node.value, keys)
    return templates


# ---- entities


def _entity(node: Node, keys: _Keys | None) -> Entity:
    if node.key == FIXED_ITEMS:
        node.note(f'the name "{FIXED_ITEMS}" is taken by the fixed items', "give the entity another")
    if not node.key.strip():
        node.note("an entity needs a name")
    fields = node.fields(*ENTITY_KEYS)
    source = fields.need("source", read_source)
    where = fields.get("where", Node.text, None)
    columns, excepted = fields.get("columns", _columns, ("rest", ()))
    nulls = fields.get("nulls", lambda n: n.choice("omit", "keep"), "omit")
    rules = fields.get("rules", lambda n: n.each_named(_rule), ())
    listed = "items" in fields
    items = fields.get("items", lambda n: _items(n, keys), ()) if listed else (_single_item(fields, keys),)
    if listed and ("key" in fields or "attributes" in fields):
        fields.fail("has items: beside key: or attributes:", "with items:, each of them has its own key and attributes")
    fields.finish()
    return Entity(
        name=node.key,
        source=source,
        items=items,
        where=where,
        columns=columns,
        except_columns=excepted,
        nulls=cast(Literal["omit", "keep"], nulls),
        rules=tuple(rule for _, rule in rules),
        listed=listed,
    )


def _items(node: Node, keys: _Keys | None) -> tuple[ItemSpec, ...]:
    items = node.each(lambda n: _item(n, keys))
    if not items:
        node.refuse("is an empty list: a row becomes no item")
    return items


def _item(node: Node, keys: _Keys | None) -> ItemSpec:
    fields = node.fields(*ITEM_KEYS)
    where = fields.get("where", Node.text, None)
    item = _single_item(fields, keys)
    fields.finish()
    return ItemSpec(item.key, item.attributes, where)


def _single_item(fields: Fields, keys: _Keys | None) -> ItemSpec:
    key = fields.need("key", lambda n: _key(n, keys))
    attributes = fields.get("attributes", lambda n: _attributes(n, fields.node.value.get("key")), ())
    return ItemSpec(key, attributes)


def _attributes(node: Node, key: Any) -> tuple[tuple[str, Expression], ...]:
    attributes = read_attributes(node)
    for name, _ in attributes:
        if isinstance(key, dict) and name in key:
            node.note("has the name of a key of this item", "give the attribute another name", at=name)
    return attributes


def _columns(node: Node) -> tuple[Literal["rest", "none"], tuple[str, ...]]:
    if node.value in ("rest", "none"):
        return node.value, ()
    if not isinstance(node.value, dict):
        node.refuse(f"must be rest, none or {{except: […]}}, and is {describe(node.value)}")
    fields = node.fields("except")
    excepted = fields.need("except", read_names)
    fields.finish()
    return "rest", excepted


# ---- rules


def _rule(node: Node) -> Rule:
    fields = node.fields(*RULE_KEYS)
    rule = Rule(
        column=node.key,
        required=fields.get("required", Node.boolean, False),
        type=fields.get("type", lambda n: n.choice(*TYPES), None),
        one_of=fields.get("one_of", lambda n: n.each(_rule_value), None),
        min=fields.get("min", _rule_value, None),
        max=fields.get("max", _rule_value, None),
        max_length=fields.get("max_length", lambda n: n.integer(0), None),
        pattern=fields.get("pattern", _pattern, None),
        unique=fields.get("unique", Node.boolean, False),
        severity=cast(Literal["error", "warn"], fields.get("severity", lambda n: n.choice("error", "warn"), "error")),
    )
    fields.finish()
    return rule


def _rule_value(node: Node) -> Any:
    if node.value is None or isinstance(node.value, list | dict):
        node.refuse(f"must be a number, text, true or false, and is {describe(node.value)}")
    return str(node.value) if isinstance(node.value, str) else node.value


def _pattern(node: Node) -> str:
    text = node.text()
    try:
        re.compile(text)
    except re.error as error:
        node.refuse(f"is no regular expression: {error}")
    return text
