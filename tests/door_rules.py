"""What the DynamoDB service documents that it refuses, as the strict door checks it.

Engines accept much of it, so a test that is green on them alone proves little. Independent of migrator on purpose:
every limit and size rule is stated here a second time, from the same pages. DG is the Amazon DynamoDB developer
guide, API its API reference; what stands in quotes is a heading there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from door_values import Attributes, Refused, check_attributes, check_value, comparable, item_bytes, utf8, value_bytes

#: API BatchWriteItem, BatchGetItem, TransactWriteItems
BATCH_WRITES, BATCH_READS, TRANSACTION_ACTIONS = 25, 100, 100
#: API BatchWriteItem: "The total request size exceeds 16 MB"
REQUEST_BYTES = 16 * 1024 * 1024
#: DG Constraints, "Item size"
ITEM_BYTES = 400 * 1024
#: DG Constraints, "Partition key values" and "Sort key values": UTF-8 bytes
PARTITION_KEY_BYTES, SORT_KEY_BYTES = 2048, 1024
#: DG Constraints, "Attribute names": of keys, also of indexes
KEY_NAME_BYTES = 255
#: DG Constraints, "Secondary indexes per table"
GLOBAL_INDEXES, LOCAL_INDEXES = 20, 5
#: DG HowItWorks.NamingRulesDataTypes, "Naming rules": tables and indexes
NAME_PATTERN = re.compile(r"[a-zA-Z0-9_.-]{3,255}")

KeyValue = tuple[str, str, Any]


@dataclass(frozen=True)
class Keys:
    """The key attributes of a table or index, partition key first -> their type."""

    name: str
    types: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """What the rules need to know of a table."""

    name: str
    keys: Keys
    indexes: tuple[Keys, ...]

    @staticmethod
    def from_description(description: Mapping[str, Any]) -> Table:
        """Read CreateTable parameters or a DescribeTable answer."""
        types = {a["AttributeName"]: a["AttributeType"] for a in description["AttributeDefinitions"]}

        def keys(name: str, schema: Iterable[Mapping[str, str]]) -> Keys:
            ordered = sorted(schema, key=lambda element: element["KeyType"] != "HASH")
            return Keys(name, {e["AttributeName"]: types[e["AttributeName"]] for e in ordered})

        indexes = chain(_listed(description, "GlobalSecondaryIndexes"), _listed(description, "LocalSecondaryIndexes"))
        return Table(
            description["TableName"],
            keys("", description["KeySchema"]),
            tuple(keys(index["IndexName"], index["KeySchema"]) for index in indexes),
        )


FindTable = Callable[[str], Table | None]


# ---- items and keys


def check_item(item: Attributes, table: Table | None) -> None:
    """Check an item that is to be put."""
    check_attributes(item)
    if item_bytes(item) > ITEM_BYTES:
        raise Refused("item_size", "Item size has exceeded the maximum allowed size")
    if table:
        _check_table_key(item, table)
        _check_index_keys(item, table)


def check_key(key: Attributes, table: Table | None) -> None:
    """Check a key that is to be read, updated or deleted."""
    check_attributes(key)
    if not table:
        return
    # API GetItem, Key: all of the key attributes and nothing else
    if set(key) != set(table.keys.types):
        raise Refused("key_schema", "The provided key element does not match the schema")
    _check_table_key(key, table)


def _check_table_key(item: Attributes, table: Table) -> None:
    for position, (name, kind) in enumerate(table.keys.types.items()):
        if name not in item:
            raise Refused(
                "key_missing", f"One or more parameter values were invalid: Missing the key {name} in the item"
            )
        if kind not in item[name]:
            raise Refused("key_type", f"One or more parameter values were invalid: Type mismatch for key {name}")
        _check_key_value(item[name], position, rule="key", where=f"Key: {name}")


def _check_index_keys(item: Attributes, table: Table) -> None:
    # DG HowItWorks.NamingRulesDataTypes: keys of an index may be absent, but neither empty nor of another type
    for index in table.indexes:
        for position, (name, kind) in enumerate(index.types.items()):
            if name not in item:
                continue
            where = f"IndexName: {index.name}, IndexKey: {name}"
            if kind not in item[name]:
                raise Refused("index_key_type", f"One or more parameter values were invalid: Type mismatch. {where}")
            _check_key_value(item[name], position, rule="index_key", where=where)


def _check_key_value(value: Mapping[str, Any], position: int, rule: str, where: str) -> None:
    if "N" in value:
        return
    size = value_bytes(value)
    if size == 0:
        raise Refused(
            f"{rule}_empty",
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            f"cannot contain an empty string value. {where}",
        )
    if size > (PARTITION_KEY_BYTES, SORT_KEY_BYTES)[position]:
        raise Refused(f"{rule}_size", f"One or more parameter values were invalid: Size of key has exceeded. {where}")


def canonical_key(key: Attributes, table: Table) -> tuple[KeyValue, ...]:
    """Give a key so that two are equal exactly if DynamoDB takes them for one.

    >>> table = Table("T", Keys("", {"PK": "N"}), ())
    >>> canonical_key({"PK": {"N": "1.0"}, "x": {"S": ""}}, table) == canonical_key({"PK": {"N": "01"}}, table)
    True
    """
    return tuple(
        (name, kind, comparable(kind, key[name][kind])) for name, kind in table.keys.types.items() if name in key
    )


# ---- requests


def check_request(operation: str, request: Mapping[str, Any], find_table: FindTable) -> None:
    """Check a whole request, as far as this page knows its operation."""
    check = OPERATIONS.get(operation)
    if check:
        check(request, find_table)


def _check_put(request: Mapping[str, Any], find_table: FindTable) -> None:
    check_item(request["Item"], find_table(request["TableName"]))
    _check_expression_values(request)


def _check_keyed(request: Mapping[str, Any], find_table: FindTable) -> None:
    check_key(request["Key"], find_table(request["TableName"]))
    _check_expression_values(request)


def _check_condition(request: Mapping[str, Any], find_table: FindTable) -> None:
    _check_expression_values(request)


def _check_expression_values(request: Mapping[str, Any]) -> None:
    for value in request.get("ExpressionAttributeValues", {}).values():
        check_value(value)


def _check_batch_write(request: Mapping[str, Any], find_table: FindTable) -> None:
    # API BatchWriteItem: 1 to 25 requests in all, and no two on one item
    writes = [(table, write) for table, batch in request["RequestItems"].items() for write in batch]
    if not 1 <= len(writes) <= BATCH_WRITES:
        raise Refused("batch_size", "Too many items requested for the BatchWriteItem call")
    keys = []
    for name, write in writes:
        table = find_table(name)
        if "PutRequest" in write:
            attributes = write["PutRequest"]["Item"]
            check_item(attributes, table)
        else:
            attributes = write["DeleteRequest"]["Key"]
            check_key(attributes, table)
        if table:
            keys.append((name, canonical_key(attributes, table)))
    _check_distinct(keys, "Provided list of item keys contains duplicates")


def _check_batch_get(request: Mapping[str, Any], find_table: FindTable) -> None:
    # API BatchGetItem: up to 100 items, no key twice
    wanted = [(table, key) for table, part in request["RequestItems"].items() for key in part["Keys"]]
    if not 1 <= len(wanted) <= BATCH_READS:
        raise Refused("batch_size", "Too many items requested for the BatchGetItem call")
    keys = []
    for name, key in wanted:
        table = find_table(name)
        check_key(key, table)
        if table:
            keys.append((name, canonical_key(key, table)))
    _check_distinct(keys, "Provided list of item keys contains duplicates")


def _check_transaction(request: Mapping[str, Any], find_table: FindTable) -> None:
    # API TransactWriteItems: up to 100 actions, no two on one item
    actions = request["TransactItems"]
    if not 1 <= len(actions) <= TRANSACTION_ACTIONS:
        raise Refused("batch_size", "Member must have length less than or equal to 100")
    keys = []
    for action in actions:
        (kind, parameters), *_ = action.items()
        (_check_put if kind == "Put" else _check_keyed)(parameters, find_table)
        table = find_table(parameters["TableName"])
        if table:
            keys.append((table.name, canonical_key(parameters.get("Item") or parameters["Key"], table)))
    _check_distinct(keys, "Transaction request cannot include multiple operations on one item")


def _check_distinct(keys: list[Any], message: str) -> None:
    if len(set(keys)) < len(keys):
        raise Refused("key_twice", message)


def _check_create_table(request: Mapping[str, Any], find_table: FindTable) -> None:
    _check_name(request["TableName"])
    indexes = list(_indexes(request))
    for index in indexes:
        _check_name(index["IndexName"])
    if len({index["IndexName"] for index in indexes}) < len(indexes):
        raise Refused("index_name_twice", "Duplicate index name")
    for kind, limit in (("GlobalSecondaryIndexes", GLOBAL_INDEXES), ("LocalSecondaryIndexes", LOCAL_INDEXES)):
        if len(_listed(request, kind)) > limit:
            raise Refused("index_count", f"Number of {kind} exceeds per-table limit of {limit}")
    _check_key_names(request, indexes)
    _check_capacity(request)


def _check_key_names(request: Mapping[str, Any], indexes: list[Any]) -> None:
    # API CreateTable, AttributeDefinitions: the attributes of the key schemas, those and no others
    defined = [attribute["AttributeName"] for attribute in request["AttributeDefinitions"]]
    used = {element["AttributeName"] for schema in (request, *indexes) for element in schema["KeySchema"]}
    if sorted(defined) != sorted(used):
        raise Refused("attribute_definitions", "Some AttributeDefinitions are not used, or some are missing")
    for name in used:
        if not 1 <= len(utf8(name)) <= KEY_NAME_BYTES:
            raise Refused("key_name", "Member must have length less than or equal to 255")


def _check_capacity(request: Mapping[str, Any]) -> None:
    # API CreateTable, BillingMode and ProvisionedThroughput
    on_demand = request.get("BillingMode") == "PAY_PER_REQUEST"
    if on_demand == bool(request.get("ProvisionedThroughput")):
        raise Refused("capacity", "ProvisionedThroughput must be given exactly when BillingMode is PROVISIONED")


def _check_name(name: str) -> None:
    if not NAME_PATTERN.fullmatch(name):
        raise Refused("table_name", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+, 3 to 255 long")


def _indexes(request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _listed(request, "GlobalSecondaryIndexes")
    yield from _listed(request, "LocalSecondaryIndexes")


def _listed(request: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return request.get(name) or []


OPERATIONS: Mapping[str, Callable[[Mapping[str, Any], FindTable], None]] = {
    "PutItem": _check_put,
    "GetItem": _check_keyed,
    "DeleteItem": _check_keyed,
    "UpdateItem": _check_keyed,
    "Query": _check_condition,
    "Scan": _check_condition,
    "BatchWriteItem": _check_batch_write,
    "BatchGetItem": _check_batch_get,
    "TransactWriteItems": _check_transaction,
    "CreateTable": _check_create_table,
}
