"""Conditional single writes, for `on_existing: skip` and `error`.

BatchWriteItem knows no conditions, so each item is a PutItem that asks whether its key is free.
An equal item that is already there may be our own: the answer to an earlier attempt can get lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from botocore.exceptions import ClientError
from msgspec import Struct

from migrator.mapping.canonical import describe_key, digest
from migrator.mapping.encoded import EncodedItem
from migrator.mapping.model import Attributes, TableDefinition
from migrator.mapping.wirejson import from_wire, to_wire
from migrator.target.faults import error_code
from migrator.target.sender import OnReply, Reply
from migrator.target.wire import NOTHING, Batch, BatchResult, consumed_units

OnExisting = Literal["replace", "skip", "error"]
#: operation, body, what to do with the reply
Submit = Callable[[str, bytes, OnReply], None]
#: The result, and the reply that told it; a reply with an error has no result.
OnResult = Callable[[BatchResult | None, Reply], None]


def put_body(table: TableDefinition, item: EncodedItem) -> bytes:
    """Put the item where none is."""
    rest = {
        "TableName": table.name,
        "ConditionExpression": "attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": table.partition_key.name},
        "ReturnConsumedCapacity": "INDEXES",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return b'{"Item":%b,%b' % (item.wire, json.dumps(rest).encode()[1:])


class PutIfFree(Struct, frozen=True):
    """Puts one item where none is. `maybe_applied`: an earlier attempt with this item may have written it."""

    submit: Submit
    table: TableDefinition
    batch: Batch  #: of one item
    on_existing: OnExisting
    maybe_applied: bool
    on_result: OnResult

    @property
    def item(self) -> EncodedItem:
        return self.batch.items[0]

    def send(self) -> None:
        self.submit("PutItem", put_body(self.table, self.item), self._take_answer)

    def _take_answer(self, reply: Reply) -> None:
        if reply.error is None:
            consumed = reply.document.get("ConsumedCapacity")
            units = consumed_units([consumed] if consumed else (), self.batch)
            self.on_result(BatchResult(self.batch, units), reply)
        elif error_code(reply.error) != "ConditionalCheckFailedException":
            self.on_result(None, reply)
        elif self.on_existing == "skip" and not self.maybe_applied:
            self._judge(reply, None)
        elif existing := _existing(reply.error):
            self._judge(reply, existing)
        else:
            # Engines before 2023 do not send the existing item along.
            self.submit("GetItem", _get_body(self.table, self.item), self._take_existing)

    def _take_existing(self, reply: Reply) -> None:
        if reply.error is not None:
            self.on_result(None, reply)
        else:
            self._judge(reply, from_wire(reply.document.get("Item") or {}))

    def _judge(self, reply: Reply, existing: Attributes | None) -> None:
        # A condition that does not hold costs what the write would have cost on the table alone.
        units = float(self.item.write_units)
        if existing is not None and digest(existing) == digest(self.item.attributes):
            result = BatchResult(self.batch, units)
        elif self.on_existing == "skip":
            result = BatchResult(NOTHING, units, skipped=self.batch)
        else:
            words = f"another item has the key {describe_key(key_of(self.item, self.table), self.table)}"
            result = BatchResult(NOTHING, units, refused=words)
        # An error that was expected is an answer.
        self.on_result(result, Reply(reply.latency_ms))


def key_of(item: EncodedItem, table: TableDefinition) -> Attributes:
    attributes = item.attributes
    return {key.name: attributes[key.name] for key in table.key_attributes}


def _get_body(table: TableDefinition, item: EncodedItem) -> bytes:
    request: dict[str, Any] = {"TableName": table.name, "Key": key_of(item, table), "ConsistentRead": True}
    return to_wire(request)


def _existing(error: Exception) -> Attributes | None:
    assert isinstance(error, ClientError)
    item: dict[str, Any] | None = error.response.get("Item")
    return from_wire(item) if item else None
