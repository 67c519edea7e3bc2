"""A BatchWriteItem request out of encoded items, and what its answer means for each of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct

from migrator.mapping.encoded import EncodedItem, EncodedItems, identity, identity_of
from migrator.mapping.model import TableDefinition
from migrator.mapping.wirejson import from_wire

_BETWEEN_ITEMS = b'}},{"PutRequest":{"Item":'
_CLOSING = b'}}]},"ReturnConsumedCapacity":"INDEXES"}'


class Batch(Struct, frozen=True):
    """Items that go in one request, and what they are together."""

    items: EncodedItems
    wire_bytes: int
    write_units: int  #: what they cost to write, as far as can be known before

    @classmethod
    def of(cls, items: Sequence[EncodedItem]) -> Batch:
        """
        >>> batch = Batch.of([EncodedItem(b"{}", "a", 3, 1), EncodedItem(b"{}", "b", 4, 2)])
        >>> batch.wire_bytes, batch.write_units
        (4, 3)
        """
        columns = EncodedItems.of(items)
        return cls(columns, columns.wire_bytes, sum(columns.units))

    def __len__(self) -> int:
        return len(self.items.wires)


NOTHING = Batch.of(())


class BatchResult(NamedTuple):
    """What one answer says of the items that were sent; none is left out."""

    written: Batch
    write_units: float
    unprocessed: Batch = NOTHING
    skipped: Batch = NOTHING
    #: valid, but the item that is there stays: the message
    refused: str | None = None


def batch_body(table: TableDefinition, batch: Batch) -> bytes:
    """The items go in as they are: nothing is parsed again.

    >>> from migrator.mapping.model import KeyAttribute
    >>> orders = TableDefinition("orders", KeyAttribute("PK"))
    >>> batch_body(orders, Batch.of([EncodedItem(b'{"PK":{"S":"a"}}', "a", 3, 1)])).decode()
    '{"RequestItems":{"orders":[{"PutRequest":{"Item":{"PK":{"S":"a"}}}}]},"ReturnConsumedCapacity":"INDEXES"}'
    """
    first, *others = batch.items.wires
    # What stands around them is put to the first and the last, so that the body is copied once.
    pieces = [_opening(table.name) + first, *others]
    pieces[-1] += _CLOSING
    return _BETWEEN_ITEMS.join(pieces)


@lru_cache(maxsize=16)
def _opening(table_name: str) -> bytes:
    return b'{"RequestItems":{%b:[{"PutRequest":{"Item":' % json.dumps(table_name).encode()


def read_batch(document: Mapping[str, Any], batch: Batch, table: TableDefinition) -> BatchResult:
    """What became of the items of a batch."""
    written, unprocessed = batch, NOTHING
    if returned := document.get("UnprocessedItems"):
        left = {
            identity(from_wire(request["PutRequest"]["Item"]), table)
            for requests in returned.values()
            for request in requests
        }
        written = Batch.of([item for item in batch.items if identity_of(item, table) not in left])
        unprocessed = Batch.of([item for item in batch.items if identity_of(item, table) in left])
    return BatchResult(written, consumed_units(document.get("ConsumedCapacity") or (), written), unprocessed)


def consumed_units(reported: Iterable[Any], written: Batch) -> float:
    """What was consumed: as reported, unless the report cannot be right (moto reports 1.0 for three puts)."""
    units = sum([float(each.get("CapacityUnits") or 0.0) for each in reported])
    return units if units >= len(written) else float(written.write_units)
