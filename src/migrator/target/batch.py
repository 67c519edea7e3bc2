"""Items -> batches that BatchWriteItem takes: at most 25 items, 16 MB on the wire, no key twice, one table.

A source is often sorted by what becomes the partition key, and DynamoDB gives one partition a fraction of a table's
capacity. So items are collected in a window and dealt out like cards: the first batch gets every n-th item.
A key that comes again has to wait until the earlier item is settled, so that of two items the later wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrator.limits import BATCH_ITEMS
from migrator.mapping.encoded import EncodedItems
from migrator.target.wire import Batch

#: Dealt out, the items of a batch are 400 apart. It is also what a segment sends at its end with nothing beside it.
WINDOW_ITEMS = 10_000
#: Far from what one request may have, so that no batch of a window can be too large.
WINDOW_BYTES = 6 * 1024 * 1024


class Window:
    """Collects items until they are dealt: up to `items_max` of them."""

    def __init__(self, batch_size: int = BATCH_ITEMS, items_max: int = WINDOW_ITEMS) -> None:
        self.items_max = items_max
        self._batch_size = min(batch_size, BATCH_ITEMS)
        self._parts: list[EncodedItems] = []
        self._count = 0
        self._bytes = 0

    def offer(self, items: EncodedItems) -> bool:
        """Take all of the items, or none where they do not fit. One alone always fits."""
        count = self._count + len(items)
        wire_bytes = self._bytes + items.wire_bytes
        if count > 1 and (wire_bytes > WINDOW_BYTES or count > self.items_max):
            return False
        self._parts.append(replace(items, sizes=None))  # what these are worked out of is the rows themselves
        self._count, self._bytes = count, wire_bytes
        return True

    def __len__(self) -> int:
        return self._count

    def deal(self) -> Iterator[Batch]:
        """Everything collected, in batches."""
        parts, self._parts, self._count, self._bytes = self._parts, [], 0, 0
        items = EncodedItems.joined(parts)
        stride = -(-len(items) // self._batch_size)
        return (Batch.of(items[start::stride]) for start in range(stride))
