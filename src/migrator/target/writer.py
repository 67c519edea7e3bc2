"""Items in, counts out: a window that is filled while the one before it is on its way.

`put` goes on with the requests under way, and blocks while the window has no room, so a source is never read faster
than the table takes it. All in one thread: a writer is used, and its transport works, where the rows are read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from migrator.limits import BATCH_ITEMS
from migrator.mapping.encoded import EncodedItem, EncodedItems
from migrator.mapping.model import TableDefinition
from migrator.target.backoff import WRITING, RetryPolicy, never
from migrator.target.batch import WINDOW_ITEMS, Window
from migrator.target.delivery import Delivery, Describe, Load
from migrator.target.governor import Governor
from migrator.target.outcome import Tally, WriteResult
from migrator.target.put import OnExisting
from migrator.target.sender import Sender
from migrator.target.wire import Batch

#: Items on their way; with their requests and two windows, a worker holds less than 32 MB.
BYTES_IN_FLIGHT_MAX = 8 * 1024 * 1024
# Batches that wait for a retry leave their connection to others.
_LOADS_PER_CONNECTION = 2
_A_WHILE_S = 0.25
# Where a window may only take so long, its size is found out, beginning with this.
_FIRST_WINDOW_ITEMS = 4 * BATCH_ITEMS


class Writer:
    """Writes the items of one table. close() before the counts are believed.

    `maybe_applied`: an earlier run, cut off, may have written any of the items. `distinct`: no two items have one key,
    so none has to wait for another. `window_s`: how long a window may take to be sent; without it, it is as large as
    spreads best.
    """

    is_full = False  #: it blocks instead

    def __init__(
        self,
        sender: Sender,
        table: TableDefinition,
        *,
        describe: Describe,
        governor: Governor | None = None,
        on_existing: OnExisting = "replace",
        batch_size: int = BATCH_ITEMS,
        policy: RetryPolicy = WRITING,
        maybe_applied: bool = False,
        distinct: bool = False,
        window_s: float | None = None,
        stop: Callable[[], bool] = never,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally = Tally(clock)
        self._delivery = Delivery(
            sender,
            table,
            self._tally,
            governor or Governor(),
            describe=describe,
            on_existing=on_existing,
            policy=policy,
            maybe_applied=maybe_applied,
            stop=stop,
            clock=clock,
        )
        self._window = Window(batch_size, WINDOW_ITEMS if window_s is None else _FIRST_WINDOW_ITEMS)
        self._window_s = window_s
        self._clock = clock
        self._dealt_at = clock()
        self._dealt_items = 0
        self._dealt: deque[Batch] = deque()
        self._loads_max = max(1, sender.free) * _LOADS_PER_CONNECTION
        self._loads = 0
        self._bytes = 0
        self._distinct = distinct
        #: of every item that is not settled, those in the window included
        self._identities: set[Hashable] = set()

    def put(self, items: Sequence[EncodedItem]) -> None:
        """Take items; blocks while the window has no room."""
        columns = EncodedItems.of(items)
        self._tally.take(columns)
        if not (self._are_new(columns) and self._take(columns)):
            for item in columns:
                self._put_one(item)
        self._turn(0)

    def _are_new(self, items: EncodedItems) -> bool:
        """Whether none of them has the key of another, or of one that is not settled."""
        if self._distinct:
            return True
        identities = set(items.identities)
        return len(identities) == len(items) and self._identities.isdisjoint(identities)

    def _take(self, items: EncodedItems) -> bool:
        """Into the window, which is dealt where it is too full; False where an empty one would be."""
        if not self._window.offer(items):
            self._deal()
            if not self._window.offer(items):
                return False
        if not self._distinct:
            self._identities.update(items.identities)
        return True

    def _put_one(self, item: EncodedItem) -> None:
        if item.identity in self._identities:
            # The earlier item must be through, so that the later one wins.
            self._deal()
            while item.identity in self._identities:
                self._turn(_A_WHILE_S)
        self._take(EncodedItems.of([item]))

    def close(self) -> WriteResult:
        """Send what is left, wait for every answer, and give the counts. Nothing is raised for the target's errors."""
        self._deal()
        while self._dealt or self._loads:
            self._turn(_A_WHILE_S)
        return self._tally.close()

    def _deal(self) -> None:
        """Turn the window into batches, once those of the last one are on their way."""
        while self._dealt:
            self._turn(_A_WHILE_S)
        self._size_window()
        self._dealt.extend(self._window.deal())
        self._turn(0)

    def _size_window(self) -> None:
        """As many items as the last window lets expect in the time that one may take."""
        now, items = self._clock(), self._dealt_items
        if self._window_s is not None and items:
            expected = items * self._window_s / max(now - self._dealt_at, 1e-3)
            # A burst that a budget allows is not the pace that follows.
            most = min(WINDOW_ITEMS, 2 * self._window.items_max)
            self._window.items_max = min(most, max(BATCH_ITEMS, int(expected)))
        self._dealt_at, self._dealt_items = now, len(self._window)

    def _turn(self, timeout_s: float) -> None:
        if self._dealt and self._delivery.halted():
            self._leave_dealt()
        while self._dealt and self._has_room(self._dealt[0]):
            self._start(self._dealt.popleft())
        self._delivery.turn(timeout_s)

    def _leave_dealt(self) -> None:
        for batch in self._dealt:
            self._tally.unsent(batch)
            self._forget(batch)
        self._dealt.clear()

    def _has_room(self, batch: Batch) -> bool:
        return self._loads < self._loads_max and (
            not self._loads or self._bytes + batch.wire_bytes <= BYTES_IN_FLIGHT_MAX
        )

    def _start(self, batch: Batch) -> None:
        self._loads += 1
        self._bytes += batch.wire_bytes
        self._delivery.start(Load(batch, self._settled))

    def _settled(self, load: Load) -> None:
        self._loads -= 1
        self._bytes -= load.batch.wire_bytes
        self._forget(load.batch)

    def _forget(self, batch: Batch) -> None:
        if not self._distinct:
            self._identities.difference_update(batch.items.identities)
