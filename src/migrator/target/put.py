"""Conditional single writes, for `on_existing: skip` and `error`.

BatchWriteItem knows no conditions, so each item is a PutItem that asks whether its key is free.
An equal item that is already there may be our own: the answer to an earlier attempt can get lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from botocore.exceptions import ClientError

from migrator.mapping.canonical import describe_key, digest
from migrator.mapping.model import Attributes, Item, TableDefinition
from migrator.target.faults import error_code
from migrator.target.outcome import Entry
from migrator.target.wire import BatchResult, consumed_units, write_units

OnExisting = Literal["replace", "skip", "error"]


def put_if_free(
    client: Any,
    table: TableDefinition,
    entry: Entry,
    on_existing: OnExisting,
    clock: Callable[[], float],
    *,
    maybe_applied: bool,
) -> BatchResult:
    """Put one item where none is. `maybe_applied`: an earlier attempt of this entry may have written it."""
    begun = clock()
    try:
        answer = client.put_item(
            TableName=table.name,
            Item=entry.item.attributes,
            ConditionExpression="attribute_not_exists(#key)",
            ExpressionAttributeNames={"#key": table.partition_key.name},
            ReturnConsumedCapacity="INDEXES",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        existing = error.response.get("Item")
    else:
        consumed = answer.get("ConsumedCapacity")
        units = consumed_units([consumed] if consumed else (), (entry,), table)
        return BatchResult((entry,), units, (clock() - begun) * 1_000)
    # A condition that does not hold costs what the write would have cost on the table alone.
    units = write_units(entry.item, table)
    latency_ms = (clock() - begun) * 1_000
    if (on_existing == "error" or maybe_applied) and _is_ours(client, table, entry.item, existing):
        return BatchResult((entry,), units, latency_ms)
    if on_existing == "skip":
        return BatchResult((), units, latency_ms, skipped=(entry,))
    return BatchResult((), units, latency_ms, refused=f"another item has the key {describe_key(entry.item.key, table)}")


def _is_ours(client: Any, table: TableDefinition, item: Item, existing: Attributes | None) -> bool:
    """Whether the item in the table equals ours. Engines before 2023 do not send it along."""
    if not existing:
        key = {key.name: item.attributes[key.name] for key in table.key_attributes}
        existing = client.get_item(TableName=table.name, Key=key, ConsistentRead=True).get("Item")
    return bool(existing) and digest(existing) == digest(item.attributes)
