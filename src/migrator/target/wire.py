"""One BatchWriteItem request and what its answer means for each item."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from migrator.limits import WRITE_UNIT_BYTES
from migrator.mapping.canonical import item_size
from migrator.mapping.model import Attributes, IndexDefinition, Item, TableDefinition
from migrator.target.batch import identity
from migrator.target.outcome import Entry


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What one answer says of the entries that were sent; none is left out."""

    written: tuple[Entry, ...]
    write_units: float
    latency_ms: float
    unprocessed: tuple[Entry, ...] = ()
    skipped: tuple[Entry, ...] = ()
    #: valid, but the item that is there stays: the message
    refused: str | None = None


def send_batch(
    client: Any, table: TableDefinition, entries: tuple[Entry, ...], clock: Callable[[], float]
) -> BatchResult:
    """Write the entries with one request. Errors come as the client raises them."""
    begun = clock()
    answer = client.batch_write_item(
        RequestItems={table.name: [{"PutRequest": {"Item": entry.item.attributes}} for entry in entries]},
        ReturnConsumedCapacity="INDEXES",
    )
    latency_ms = (clock() - begun) * 1_000
    left = {
        identity(request["PutRequest"]["Item"], table)
        for requests in answer.get("UnprocessedItems", {}).values()
        for request in requests
    }
    written = tuple(entry for entry in entries if entry.identity not in left)
    return BatchResult(
        written=written,
        write_units=consumed_units(answer.get("ConsumedCapacity") or (), written, table),
        latency_ms=latency_ms,
        unprocessed=tuple(entry for entry in entries if entry.identity in left),
    )


def consumed_units(reported: Iterable[Any], written: tuple[Entry, ...], table: TableDefinition) -> float:
    """What was consumed: as reported, unless the report cannot be right (moto reports 1.0 for three puts)."""
    units = sum(float(each.get("CapacityUnits") or 0.0) for each in reported)
    return units if units >= len(written) else sum(write_units(entry.item, table) for entry in written)


def write_units(item: Item, table: TableDefinition) -> float:
    """Units to put an item that was not there: one per started KB, for the table and for each index it enters.

    >>> from migrator.mapping.model import KeyAttribute
    >>> write_units(Item({"PK": {"S": "a"}}, {}, 1_025), TableDefinition("orders", KeyAttribute("PK")))
    2.0
    """
    small = item.size_bytes <= WRITE_UNIT_BYTES  # so is every projection of it: no need to measure them
    sizes = (item.size_bytes if small else _projected_bytes(item, index, table) for index in _entered(item, table))
    return float(_started(item.size_bytes) + sum(map(_started, sizes)))


def index_entry_sizes(item: Item, table: TableDefinition) -> list[int]:
    """Bytes of the item's entry in each index that it enters."""
    return [_projected_bytes(item, index, table) for index in _entered(item, table)]


def _entered(item: Item, table: TableDefinition) -> Iterator[IndexDefinition]:
    return (index for index in table.indexes if all(key.name in item.attributes for key in index.key_attributes))


def _started(size_bytes: int) -> int:
    return max(1, math.ceil(size_bytes / WRITE_UNIT_BYTES))


def _projected_bytes(item: Item, index: IndexDefinition, table: TableDefinition) -> int:
    if index.projection == "ALL":
        return item.size_bytes
    keys = (key.name for key in (*table.key_attributes, *index.key_attributes))
    projected = {*keys, *index.included}
    kept: Attributes = {name: value for name, value in item.attributes.items() if name in projected}
    return item_size(kept)
