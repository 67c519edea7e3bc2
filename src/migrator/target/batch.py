"""Items -> batches that BatchWriteItem takes: at most 25 items, 16 MB on the wire, no key twice, one table."""

from __future__ import annotations

import base64
import json
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

from migrator.limits import BATCH_ITEMS, BATCH_WIRE_BYTES
from migrator.mapping.model import Attributes, Item, TableDefinition
from migrator.target.outcome import Entry

#: Room for the request's own braces, the table's name and the parameters beside the items.
REQUEST_OVERHEAD_BYTES = 4_096
_ITEM_OVERHEAD_BYTES = 32

# JSON can be far longer than DynamoDB's size of an item: `"a": {"NULL": true}, ` for 2 bytes, \u0001 for 1.
# No shape of attribute exceeds this factor, so a small item need not be measured: 25 of them always fit.
_WORST_EXPANSION = 32
_SURELY_SMALL_BYTES = 16 * 1024


def to_base64(value: Any) -> str:
    """How JSON carries binary; `default=` of json.dumps."""
    return base64.b64encode(bytes(value)).decode("ascii")


def wire_bytes(item: Item) -> int:
    """At most so many bytes in a request, however the client escapes text.

    >>> wire_bytes(Item({"PK": {"S": "é" * 30_000}}, {}, 60_002)) > 180_000
    True
    """
    if item.size_bytes <= _SURELY_SMALL_BYTES:
        return item.size_bytes * _WORST_EXPANSION + _ITEM_OVERHEAD_BYTES
    return len(json.dumps(item.attributes, default=to_base64)) + _ITEM_OVERHEAD_BYTES


_COMPARABLE = {"S": str, "N": Decimal, "B": bytes}


def identity(attributes: Attributes, table: TableDefinition) -> Hashable:
    """Equal for two keys exactly when DynamoDB takes them for one: numbers by value.

    >>> from migrator.mapping.model import KeyAttribute
    >>> table = TableDefinition("orders", KeyAttribute("id", "N"))
    >>> identity({"id": {"N": "1.0"}}, table) == identity({"id": {"N": "01"}}, table)
    True
    """
    return tuple(
        (kind, _COMPARABLE[kind](value))
        for attribute in table.key_attributes
        for kind, value in attributes[attribute.name].items()
    )


class Batcher:
    """Collects entries; gives a batch when the next entry does not fit any more."""

    def __init__(self, table: TableDefinition, batch_size: int = BATCH_ITEMS) -> None:
        self._table = table
        self._batch_size = min(batch_size, BATCH_ITEMS)
        self._begin()

    def add(self, item: Item, tag: Any) -> tuple[Entry, ...]:
        """Take an item; the batch that had to be closed before it, or ()."""
        entry = Entry(item, tag, identity(item.attributes, self._table), wire_bytes(item))
        closed = () if self._fits(entry) else self.close()
        self._entries.append(entry)
        self._identities.add(entry.identity)
        self._wire_bytes += entry.wire_bytes
        return closed

    def close(self) -> tuple[Entry, ...]:
        """What is left."""
        closed = tuple(self._entries)
        self._begin()
        return closed

    def _fits(self, entry: Entry) -> bool:
        # BatchWriteItem refuses a request that names one key twice, so a repeated key closes the batch.
        return (
            len(self._entries) < self._batch_size
            and self._wire_bytes + entry.wire_bytes <= BATCH_WIRE_BYTES
            and entry.identity not in self._identities
        )

    def _begin(self) -> None:
        self._entries: list[Entry] = []
        self._identities: set[Hashable] = set()
        self._wire_bytes = REQUEST_OVERHEAD_BYTES
