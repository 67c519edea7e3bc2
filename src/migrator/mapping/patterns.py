"""The `access_patterns:` block: questions as a mapping asks them. `run.questions` gives them to both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Literal, cast

from migrator.errors import known_names
from migrator.mapping.expressions import read_key_template, read_template
from migrator.mapping.model import (
    AccessPattern,
    Comparison,
    Condition,
    IndexDefinition,
    KeyAttribute,
    KeyType,
    Operand,
    TableDefinition,
)
from migrator.mapping.tabledef import check_attribute_name
from migrator.node import Node, describe

PATTERN_KEYS = ("entity", "index", "key", "sql", "params", "filter", "order", "limit")
COMPARISONS = ("eq", "lt", "le", "gt", "ge", "begins_with", "between")
_SQLITE_INTEGERS = range(-(2**63), 2**63)


def read_access_pattern(node: Node, table: TableDefinition | None, entities: Sequence[str]) -> AccessPattern:
    fields = node.fields(*PATTERN_KEYS)
    entity = fields.need("entity", lambda n: _known(n, "entities", entities))
    index = fields.get("index", lambda n: _index(n, table), None)
    keys = _asked(table, index)
    pattern = AccessPattern(
        name=node.key,
        entity=entity,
        index=index,
        key=fields.get("key", lambda n: _key(n, keys), ()),
        sql=fields.get("sql", Node.text, None),
        params=fields.get("params", lambda n: n.each_named(_parameter), ()),
        filter=fields.get("filter", lambda n: _conditions(n, _filter_condition), ()),
        order=cast(
            Literal["ascending", "descending"],
            fields.get("order", lambda n: n.choice("ascending", "descending"), "ascending"),
        ),
        limit=fields.get("limit", lambda n: n.integer(1), None),
    )
    if "order" in fields and "key" not in fields:
        fields.fail("has an order but no key", "without key: the table is scanned, in no order")
    fields.finish()
    for attribute, message, hint in _misplaced(pattern, table, keys or ()):
        node.child("filter").note(message, hint, at=attribute)
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


# ---- conditions


def _key(node: Node, keys: tuple[KeyAttribute, ...] | None) -> tuple[Condition, ...]:
    types = {key.name: key.type for key in keys or ()}
    asked = _conditions(node, lambda n: _key_condition(n, types.get(n.key, "S")))
    if keys is None:
        return asked
    names = list(types)
    for condition in asked:
        if condition.attribute not in names:
            hint = known_names("keys", names, condition.attribute)
            node.note(f'"{condition.attribute}" is no key of what is asked', hint, at=condition.attribute)
        elif condition.attribute == names[0] and condition.comparison != "eq":
            node.note("a partition key is asked for one value only", at=condition.attribute)
    if names[0] not in node.value:
        node.refuse(f'the partition key "{names[0]}" is missing', "without key: the table is scanned")
    return tuple(sorted(asked, key=lambda condition: condition.attribute != names[0]))


def _conditions(node: Node, read: Callable[[Node], Condition]) -> tuple[Condition, ...]:
    return tuple(condition for _, condition in node.each_named(read))


def _key_condition(node: Node, key_type: KeyType) -> Condition:
    condition = _condition(node, lambda n: read_key_template(n, key_type))
    if condition.comparison == "begins_with" and key_type == "N":
        node.note("begins_with compares text or binary, and this key is a number")
    return condition


def _filter_condition(node: Node) -> Condition:
    check_attribute_name(node, node.key)
    condition = _condition(node, _operand)
    kinds = [type(operand) for operand in condition.operands]
    if (bool in kinds and condition.comparison != "eq") or (
        condition.comparison == "begins_with" and not all(map(_is_template, condition.operands))
    ):
        node.note(f"DynamoDB does not take {describe(condition.operands[0])} for {condition.comparison}")
    return condition


def _is_template(operand: Operand) -> bool:
    return not isinstance(operand, bool | int | Decimal)


def _condition(node: Node, read: Callable[[Node], Operand]) -> Condition:
    """A template or plain value, or one comparison: {begins_with: "ORDER#"}."""
    if not isinstance(node.value, dict):
        return Condition(node.key, "eq", (read(node),))
    names = list(node.value)
    if len(names) != 1:
        node.refuse("is a value or one comparison, as in {begins_with: ORDER#}", f"known: {', '.join(COMPARISONS)}")
    if names[0] not in COMPARISONS:
        node.refuse(f'unknown key "{names[0]}"', known_names("known", COMPARISONS, names[0]))
    comparison = node.child(names[0])
    operands = comparison.each(read) if comparison.key == "between" else (read(comparison),)
    if len(operands) != (2 if comparison.key == "between" else 1):
        comparison.refuse(f"is a list of two values, and has {len(operands)}")
    return Condition(node.key, cast(Comparison, comparison.key), operands)


def _operand(node: Node) -> Operand:
    if isinstance(node.value, bool | int | Decimal):
        return node.value
    return read_template(node)


def _parameter(node: Node) -> str | bool | int | Decimal:
    if isinstance(node.value, int) and node.value not in _SQLITE_INTEGERS:
        node.refuse("is beyond SQLite's integers of 64 bits", f'quote it: "{node.value}"')
    if isinstance(node.value, bool | int | Decimal):
        return node.value
    if not isinstance(node.value, str):
        node.refuse(f"must be text, a number, true or false, and is {describe(node.value)}")
    return str(node.value)


# ---- what a filter may name


def _misplaced(
    pattern: AccessPattern, table: TableDefinition | None, keys: tuple[KeyAttribute, ...]
) -> Iterator[tuple[str, str, str]]:
    """Attribute, what is wrong with filtering by it, and what to do."""
    found = [index for index in table.global_indexes if index.name == pattern.index] if table else []
    for condition in pattern.filter:
        name = condition.attribute
        # "Filter expressions for the Query operation" — developer guide: no primary key attributes
        if pattern.key and name in [key.name for key in keys]:
            yield name, f'"{name}" is a key of what is asked', "what is asked of a key stands in key:"
        elif table and found and not _projects(found[0], table, name):
            what = f'"{name}" is not projected into {pattern.index}'
            yield name, what, "a filter sees only what the index holds: add it to the projection"


def _projects(index: IndexDefinition, table: TableDefinition, name: str) -> bool:
    keys = (*table.key_attributes, *index.key_attributes)
    return index.projection == "ALL" or name in index.included or name in [key.name for key in keys]
