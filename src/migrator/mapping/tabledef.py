"""The `table:` block of a mapping: YAML -> TableDefinition, held against what DynamoDB allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from migrator import limits
from migrator.mapping.model import (
    AWS_MANAGED,
    AWS_MANAGED_ALIAS,
    AWS_OWNED,
    AsWritten,
    Capacity,
    IndexDefinition,
    KeyAttribute,
    KeyType,
    TableDefinition,
)
from migrator.node import Node, describe
from migrator.yamlfile import Filled, Written, join

TABLE_KEYS = (
    "name",
    "partition_key",
    "sort_key",
    "global_indexes",
    "local_indexes",
    "billing_mode",
    "warm_throughput",
    "time_to_live",
    "point_in_time_recovery",
    "encryption",
    "deletion_protection",
    "table_class",
    "contributor_insights",
    "stream",
    "tags",
)
INDEX_KEYS = ("partition_key", "sort_key", "projection", "capacity")
KEY_TYPES = ("S", "N", "B")
STREAM_VIEWS = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY")
TABLE_CLASSES = ("STANDARD", "STANDARD_INFREQUENT_ACCESS")

Projection = tuple[Literal["ALL", "KEYS_ONLY", "INCLUDE"], tuple[str, ...]]
_NAME = re.compile(limits.TABLE_NAME_PATTERN)


def read_table(node: Node) -> TableDefinition:
    fields = node.fields(*TABLE_KEYS)
    partition_key = fields.need("partition_key", read_key_attribute)
    local = _local_index(partition_key)
    table_class = fields.get("table_class", lambda n: n.choice(*TABLE_CLASSES), None)
    parts = {
        "name": fields.need("name", lambda n: _name(n, n.text())),
        "partition_key": partition_key,
        "sort_key": fields.get("sort_key", read_key_attribute, None),
        "global_indexes": fields.get("global_indexes", _indexes(_global_index, limits.GLOBAL_INDEXES), ()),
        "local_indexes": fields.get("local_indexes", _indexes(local, limits.LOCAL_INDEXES), ()),
        "capacity": fields.get("billing_mode", _billing, None),
        "warm_throughput": fields.get("warm_throughput", read_capacity, None),
        "time_to_live": fields.get("time_to_live", read_attribute_name, None),
        "point_in_time_recovery": fields.get("point_in_time_recovery", Node.boolean, None),
        "encryption": fields.get("encryption", _encryption, None),
        "deletion_protection": fields.get("deletion_protection", Node.boolean, None),
        "table_class": cast(Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"] | None, table_class),
        "contributor_insights": fields.get("contributor_insights", Node.boolean, None),
        "stream": fields.get("stream", lambda n: n.choice(*STREAM_VIEWS), None),
        "tags": fields.get("tags", lambda n: n.each_named(_tag), ()),
        "written": AsWritten(tuple(_written(node.value))),
    }
    fields.finish()
    table = TableDefinition(**parts)  # type: ignore[arg-type]  # each is of its field's type, above
    for at, message, hint in _misfits(table):
        node.note(message, *filter(None, [hint]), at=at)
    return table


def _written(value: Any, path: str = "") -> Iterator[tuple[str, Written]]:
    """Every text below with a variable in it, by its key path."""
    if isinstance(value, Filled):
        yield path, value.written
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _written(child, join(path, key))


def _name(node: Node, name: str) -> str:
    if not _NAME.fullmatch(name):
        node.refuse(f"{describe(name)} is no name DynamoDB takes: 3 to 255 letters, digits, _ . and -")
    return name


def read_attribute_name(node: Node) -> str:
    name = node.text()
    check_attribute_name(node, name)
    return name


def check_attribute_name(node: Node, name: str) -> None:
    """DynamoDB's limits on an attribute's name."""
    if not name:
        node.refuse("an attribute's name is empty")
    if len(name.encode()) > limits.ATTRIBUTE_NAME_BYTES:
        node.refuse(f"an attribute's name is longer than {limits.ATTRIBUTE_NAME_BYTES} bytes")


def read_key_attribute(node: Node) -> KeyAttribute:
    """`PK`, or `{id: N}`."""
    if not isinstance(node.value, dict):
        key = KeyAttribute(node.text())
    else:
        typed = node.each_named(lambda n: n.choice(*KEY_TYPES))
        if len(typed) != 1:
            node.refuse("names one attribute and its type, as in {id: N}")
        key = KeyAttribute(typed[0][0], cast(KeyType, typed[0][1]))
    if not 1 <= len(key.name.encode()) <= limits.KEY_ATTRIBUTE_NAME_BYTES:
        node.refuse(f"the name of a key has 1 to {limits.KEY_ATTRIBUTE_NAME_BYTES} bytes")
    return key


def read_capacity(node: Node) -> Capacity:
    fields = node.fields("read", "write")
    read = fields.need("read", lambda n: n.integer(1))
    write = fields.need("write", lambda n: n.integer(1))
    fields.finish()
    return Capacity(read, write)


def _billing(node: Node) -> Capacity | None:
    if node.value == "PAY_PER_REQUEST":
        return None
    if not isinstance(node.value, dict):
        node.refuse(
            f"must be PAY_PER_REQUEST or the units a second, and is {describe(node.value)}",
            "for PROVISIONED write {read: 5, write: 5}",
        )
    return read_capacity(node)


def _encryption(node: Node) -> str:
    """`AWS_OWNED`, `AWS_MANAGED`, or `{kms_key: …}`."""
    if not isinstance(node.value, dict):
        return node.choice(AWS_OWNED, AWS_MANAGED)
    fields = node.fields("kms_key")
    key = fields.need("kms_key", Node.text)
    fields.finish()
    return AWS_MANAGED if key.endswith(AWS_MANAGED_ALIAS) else key


def _tag(node: Node) -> str:
    return str(node.value) if node.value == "" else node.text()


# ---- indexes


def _indexes(read: Callable[[Node], IndexDefinition], most: int) -> Callable[[Node], tuple[IndexDefinition, ...]]:
    def read_all(node: Node) -> tuple[IndexDefinition, ...]:
        indexes = tuple(index for _, index in node.each_named(read))
        if len(indexes) > most:
            node.refuse(f"DynamoDB takes {most} of these, and there are {len(indexes)}")
        return indexes

    return read_all


def _global_index(node: Node) -> IndexDefinition:
    fields = node.fields(*INDEX_KEYS)
    partition_key = fields.need("partition_key", read_key_attribute)
    sort_key = fields.get("sort_key", read_key_attribute, None)
    projection, included = fields.get("projection", _projection, ("ALL", ()))
    capacity = fields.get("capacity", read_capacity, None)
    fields.finish()
    return IndexDefinition(_name(node, node.key), partition_key, sort_key, projection, included, capacity)


def _local_index(partition_key: KeyAttribute) -> Callable[[Node], IndexDefinition]:
    def read(node: Node) -> IndexDefinition:
        fields = node.fields(*INDEX_KEYS[:-1])
        own = fields.get("partition_key", read_key_attribute, partition_key)
        sort_key = fields.need("sort_key", read_key_attribute)
        projection, included = fields.get("projection", _projection, ("ALL", ()))
        fields.finish()
        return IndexDefinition(_name(node, node.key), own, sort_key, projection, included)

    return read


def _projection(node: Node) -> Projection:
    if not isinstance(node.value, list):
        if node.value not in ("ALL", "KEYS_ONLY"):
            node.refuse(f"must be ALL, KEYS_ONLY or a list of attributes, and is {describe(node.value)}")
        return node.value, ()
    names = node.each(read_attribute_name)
    if not names:
        node.refuse("names no attribute: write KEYS_ONLY")
    if len(set(names)) < len(names):
        node.refuse("names an attribute twice")
    return "INCLUDE", names


# ---- what must fit together


def _misfits(table: TableDefinition) -> Iterator[tuple[str, str, str]]:
    """Where, what, and what to do."""
    if table.sort_key and table.sort_key.name == table.partition_key.name:
        yield "sort_key", f'"{table.sort_key.name}" is the partition key already', ""
    yield from _key_type_misfits(table)
    for index in table.global_indexes:
        where = f"global_indexes.{index.name}"
        if index.sort_key and index.sort_key.name == index.partition_key.name:
            yield f"{where}.sort_key", f'"{index.sort_key.name}" is the partition key already', ""
        if index.capacity and not table.capacity:
            yield f"{where}.capacity", "the table is PAY_PER_REQUEST, and so are its indexes", "billing_mode says which"
    for index in table.local_indexes:
        yield from _local_misfits(table, index, f"local_indexes.{index.name}")
    included = sum(len(index.included) for index in table.indexes)
    if included > limits.PROJECTED_ATTRIBUTES:
        most = limits.PROJECTED_ATTRIBUTES
        yield "global_indexes", f"the projections name {included} attributes; DynamoDB takes {most} a table", "use ALL"


def _local_misfits(table: TableDefinition, index: IndexDefinition, where: str) -> Iterator[tuple[str, str, str]]:
    own = table.partition_key.name
    if index.partition_key.name != own:
        yield f"{where}.partition_key", f'a local index has the partition key of its table, "{own}"', ""
    if table.sort_key is None:
        yield where, "a local index needs a table with a sort key", "add sort_key: to the table"
    if index.sort_key and index.sort_key.name == own:
        yield f"{where}.sort_key", f'"{own}" is the partition key already', ""
    if any(index.name == other.name for other in table.global_indexes):
        yield where, "a global index has this name already", ""


def _key_type_misfits(table: TableDefinition) -> Iterator[tuple[str, str, str]]:
    declared = [("partition_key", table.partition_key), ("sort_key", table.sort_key)]
    for block, indexes in (("global_indexes", table.global_indexes), ("local_indexes", table.local_indexes)):
        for index in indexes:
            declared.append((f"{block}.{index.name}.partition_key", index.partition_key))
            declared.append((f"{block}.{index.name}.sort_key", index.sort_key))
    first: dict[str, KeyType] = {}
    for where, key in declared:
        if key and first.setdefault(key.name, key.type) != key.type:
            kind = first[key.name]
            yield where, f'"{key.name}" is of type {key.type} here and {kind} before', f"write {{{key.name}: {kind}}}"
