"""The `access_patterns:` block: questions as the mapping asks them. `run.questions` gives them to both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from migrator.errors import known_names
from migrator.mapping.expressions import read_template
from migrator.mapping.model import AccessPattern, KeyAttribute, TableDefinition
from migrator.node import Node, describe

PATTERN_KEYS = ("entity", "index", "key", "sql", "params", "filter", "order", "limit")
COMPARISONS = ("eq", "lt", "le", "gt", "ge", "begins_with", "between")


def read_access_pattern(node: Node, table: TableDefinition | None, entities: Sequence[str]) -> AccessPattern:
    fields = node.fields(*PATTERN_KEYS)
    entity = fields.need("entity", lambda n: _known(n, "entities", entities))
    index = fields.get("index", lambda n: _index(n, table), None)
    pattern = AccessPattern(
        name=node.key,
        entity=entity,
        index=index,
        key=fields.get("key", lambda n: _key(n, _asked(table, index)), ()),
        sql=fields.get("sql", Node.text, None),
        params=fields.get("params", lambda n: n.each_named(_plain), ()),
        filter=fields.get("filter", lambda n: n.each_named(_condition), ()),
        order=cast(
            Literal["ascending", "descending"],
            fields.get("order", lambda n: n.choice("ascending", "descending"), "ascending"),
        ),
        limit=fields.get("limit", lambda n: n.integer(1), None),
    )
    fields.finish()
    return pattern


def _known(node: Node, what: str, names: Sequence[str]) -> str:
    name = node.text()
    if name not in names:
        node.refuse(f'"{name}" is not among the {what}', known_names(what, names, name))
    return name


def _index(node: Node, table: TableDefinition | None) -> str:
    return _known(node, "indexes", [index.name for index in table.indexes]) if table else node.text()


def _asked(table: TableDefinition | None, index: str | None) -> tuple[KeyAttribute, ...] | None:
    """The keys of what is asked; None where that is not known."""
    if table is None or index is None:
        return table.key_attributes if table else None
    return next((one.key_attributes for one in table.indexes if one.name == index), None)


def _key(node: Node, keys: tuple[KeyAttribute, ...] | None) -> tuple[tuple[str, Any], ...]:
    asked = node.each_named(_condition)
    if keys is None:
        return asked
    names = [key.name for key in keys]
    for name, value in asked:
        if name not in names:
            node.note(f'"{name}" is no key of what is asked', known_names("keys", names, name), at=name)
        elif name == names[0] and isinstance(value, dict) and list(value) != ["eq"]:
            node.note("a partition key is asked for one value only", at=name)
    if names[0] not in node.value:
        node.refuse(f'the partition key "{names[0]}" is missing', "without key: the table is scanned")
    return asked


def _condition(node: Node) -> Any:
    """A template or plain value, or one comparison: {begins_with: "ORDER#"}."""
    if not isinstance(node.value, dict):
        return _operand(node)
    names = list(node.value)
    if len(names) != 1:
        node.refuse("is a value or one comparison, as in {begins_with: ORDER#}", f"known: {', '.join(COMPARISONS)}")
    if names[0] not in COMPARISONS:
        node.refuse(f'unknown key "{names[0]}"', known_names("known", COMPARISONS, names[0]))
    comparison = node.child(names[0])
    if comparison.key != "between":
        return {comparison.key: _operand(comparison)}
    bounds = comparison.each(_operand)
    if len(bounds) != 2:
        comparison.refuse(f"is a list of two values, and has {len(bounds)}")
    return {"between": list(bounds)}


def _operand(node: Node) -> Any:
    if isinstance(node.value, str):
        read_template(node)
    elif node.value is None or isinstance(node.value, list | dict):
        node.refuse(f"must be a template or a plain value, and is {describe(node.value)}")
    return _plain(node)


def _plain(node: Node) -> Any:
    """The value as written."""
    return str(node.value) if isinstance(node.value, str) else node.value
