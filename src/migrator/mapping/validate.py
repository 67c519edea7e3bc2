"""Hold an item against DynamoDB's limits before it is sent.

The service refuses all 25 items of a batch for one that is invalid, and the engines to try things on accept
much that it refuses; so every documented limit of an item is checked here, with a stable code for each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

from migrator.errors import RowRejected
from migrator.limits import (
    ATTRIBUTE_NAME_BYTES,
    ITEM_SIZE_BYTES,
    NESTING_LEVELS,
    PARTITION_KEY_BYTES,
    SORT_KEY_BYTES,
)
from migrator.mapping.canonical import item_size, value_size
from migrator.mapping.decimals import normal_number, number_text, shown
from migrator.mapping.jsontext import has_lone_surrogate
from migrator.mapping.model import Attributes, AttributeValue, KeyAttribute, TableDefinition

#: (attribute, the most bytes it may have)
KeyLimit = tuple[KeyAttribute, int]


def check_item(attributes: Attributes, table: TableDefinition) -> int:
    """The item's size in bytes. Raises RowRejected with the first limit that it breaks."""
    _check_table_key(attributes, table)
    _check_index_keys(attributes, table)
    for name, value in attributes.items():
        check_name(name)
        check_value(value, name, 0)
    size = item_size(attributes)
    if size > ITEM_SIZE_BYTES:
        raise RowRejected("item_too_large", f"the item has {size} bytes, over DynamoDB's {ITEM_SIZE_BYTES}")
    return size


# ---- keys


def _check_table_key(attributes: Attributes, table: TableDefinition) -> None:
    for attribute, limit in table_keys(table):
        value = attributes.get(attribute.name)
        if value is None:
            raise RowRejected("missing_key", f"the item has no {attribute.name}, a key of the table")
        _check_key(value, attribute, limit, "key_type", "empty_key", "the table")


def _check_index_keys(attributes: Attributes, table: TableDefinition) -> None:
    """An item without an index key is just not in the index; with one, it must fit."""
    for attribute, limit in index_keys(table):
        value = attributes.get(attribute.name)
        if value is not None:
            _check_key(value, attribute, limit, "index_key_type", "index_key_empty", "an index")


def _check_key(
    value: AttributeValue, attribute: KeyAttribute, limit: int, type_code: str, empty_code: str, of: str
) -> None:
    ((kind, content),) = value.items()
    if kind != attribute.type:
        raise RowRejected(type_code, f"{attribute.name} is a key of {of} and must be {attribute.type}, not {kind}")
    if kind == "N":
        return
    if not content:
        raise RowRejected(empty_code, f"{attribute.name} is a key of {of} and is empty")
    size = value_size(value)
    if size > limit:
        raise RowRejected("key_too_long", f"{attribute.name} has {size} bytes, over the {limit} of such a key")


def check_asked_key(value: AttributeValue, attribute: KeyAttribute, *, partition: bool) -> None:
    """Hold what a query asks of a key against what a key can be. Raises RowRejected."""
    limit = PARTITION_KEY_BYTES if partition else SORT_KEY_BYTES
    _check_key(value, attribute, limit, "key_type", "empty_key", "what is asked")
    check_value(value, attribute.name, 0)


@lru_cache(maxsize=64)
def table_keys(table: TableDefinition) -> tuple[KeyLimit, ...]:
    return _limits(table.partition_key, table.sort_key)


@lru_cache(maxsize=64)
def index_keys(table: TableDefinition) -> tuple[KeyLimit, ...]:
    own = {attribute.name: limit for attribute, limit in table_keys(table)}
    tightest: dict[KeyAttribute, int] = {}
    for index in table.indexes:
        for attribute, limit in _limits(index.partition_key, index.sort_key):
            tightest[attribute] = min(limit, tightest.get(attribute, limit))
    return tuple((a, limit) for a, limit in tightest.items() if limit < own.get(a.name, limit + 1))


def _limits(partition_key: KeyAttribute, sort_key: KeyAttribute | None) -> tuple[KeyLimit, ...]:
    return ((partition_key, PARTITION_KEY_BYTES), *([(sort_key, SORT_KEY_BYTES)] if sort_key else []))


# ---- values


def check_value(value: AttributeValue, name: str, depth: int) -> None:
    """`depth` counts the lists and maps around the value."""
    ((kind, content),) = value.items()
    check = _CHECKS.get(kind)
    if check is not None:
        check(content, name, depth)


def check_name(name: str) -> None:
    if not name:
        raise RowRejected("empty_name", "an attribute has no name")
    _check_text(name, name, 0)
    # A character has at most four bytes, so short names need no encoding to be known as short.
    if len(name) * 4 > ATTRIBUTE_NAME_BYTES and len(name.encode()) > ATTRIBUTE_NAME_BYTES:
        raise RowRejected("name_too_long", f"the attribute name {shown(name)} has over {ATTRIBUTE_NAME_BYTES} bytes")


def _check_text(text: str, name: str, depth: int) -> None:
    if not text.isascii() and has_lone_surrogate(text):
        raise RowRejected("lone_surrogate", f"attribute {shown(name)} holds half of a surrogate pair")


def _check_number(text: str, name: str, depth: int) -> None:
    number_text(text)


def _check_depth(name: str, depth: int) -> None:
    if depth >= NESTING_LEVELS:
        raise RowRejected("nesting_too_deep", f"attribute {shown(name)} nests deeper than {NESTING_LEVELS} levels")


def _check_list(values: list[AttributeValue], name: str, depth: int) -> None:
    _check_depth(name, depth)
    for value in values:
        check_value(value, name, depth + 1)


def _check_map(values: Attributes, name: str, depth: int) -> None:
    _check_depth(name, depth)
    for inner, value in values.items():
        check_name(inner)
        check_value(value, inner, depth + 1)


def _set_check(
    check: Callable[[Any, str, int], None] | None, same: Callable[[Any], Hashable]
) -> Callable[[list[Any], str, int], None]:
    def check_set(members: list[Any], name: str, depth: int) -> None:
        if not members:
            raise RowRejected("empty_set", f"attribute {shown(name)} is a set without members")
        for member in members if check else ():
            check(member, name, depth)  # type: ignore[misc]  # the loop is empty without it
        if len(set(map(same, members))) < len(members):
            raise RowRejected("duplicate_in_set", f"the set in attribute {shown(name)} holds one member twice")

    return check_set


_CHECKS: Mapping[str, Callable[[Any, str, int], None]] = {
    "S": _check_text,
    "N": _check_number,
    "L": _check_list,
    "M": _check_map,
    "SS": _set_check(_check_text, str),
    "NS": _set_check(_check_number, normal_number),
    "BS": _set_check(None, bytes),
}
