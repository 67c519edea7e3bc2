"""Items in, counts out: a bounded window of batches in flight on a few threads.

`put` blocks while the window is full, so a source is never read faster than the table takes it.
An item whose key is still in flight waits for it, so that of two items with one key the later wins.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from migrator.limits import BATCH_ITEMS
from migrator.mapping.model import Item, TableDefinition
from migrator.target.backoff import RetryPolicy, Timing, never
from migrator.target.batch import Batcher
from migrator.target.delivery import Delivery
from migrator.target.governor import Governor
from migrator.target.outcome import Entry, Tally, WriteResult
from migrator.target.put import OnExisting

# Threads of one interpreter gain nothing beyond: the client's own work needs the lock.
THREADS_MAX = 16
_BATCHES_PER_THREAD = 2
BYTES_IN_FLIGHT_MAX = 32 * 1024 * 1024


class Writer:
    """Writes the items of one table. Used by one thread; close() before the counts are believed.

    `maybe_applied`: an earlier run, cut off, may have written any of the items.
    """

    def __init__(
        self,
        client: Any,
        table: TableDefinition,
        *,
        on_existing: OnExisting = "replace",
        batch_size: int = BATCH_ITEMS,
        connections: int = 64,
        max_attempts: int = 10,
        give_up_after_s: float = 300.0,
        write_rate: float | None = None,
        maybe_applied: bool = False,
        stop: Callable[[], bool] = never,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tally = Tally(clock)
        self._batcher = Batcher(table, batch_size)
        self._delivery = Delivery(
            client,
            table,
            self._tally,
            Governor(write_rate, clock),
            on_existing=on_existing,
            policy=RetryPolicy(max_attempts, give_up_after_s),
            maybe_applied=maybe_applied,
            stop=stop,
            timing=Timing(clock, sleep),
        )
        threads = max(1, min(connections, THREADS_MAX))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"write-{table.name}")
        self._batches_max = threads * _BATCHES_PER_THREAD
        self._room = threading.Condition()
        self._batches = 0
        self._bytes = 0
        self._identities: set[Hashable] = set()
        self._crash: BaseException | None = None

    def put(self, item: Item, tag: Any) -> None:
        """Take an item; blocks while the window is full."""
        closed = self._batcher.add(item, tag)
        if closed:
            self._submit(closed)

    def close(self) -> WriteResult:
        """Send what is left, wait for every answer, and give the counts. Nothing is raised for the target's errors."""
        left = self._batcher.close()
        if left:
            self._submit(left)
        self._pool.shutdown(wait=True)
        self._raise_crash()
        return self._tally.result

    def _submit(self, batch: tuple[Entry, ...]) -> None:
        self._raise_crash()
        if self._delivery.halted():
            self._tally.unsent(batch)
            return
        identities = {entry.identity for entry in batch}
        size_bytes = sum(entry.item.size_bytes for entry in batch)
        with self._room:
            self._room.wait_for(lambda: self._has_room(identities, size_bytes))
            self._batches += 1
            self._bytes += size_bytes
            self._identities |= identities

        def done(future: Future[None]) -> None:
            self._release(identities, size_bytes, future.exception())

        self._pool.submit(self._delivery.deliver, batch).add_done_callback(done)

    def _has_room(self, identities: set[Hashable], size_bytes: int) -> bool:
        return (
            self._batches < self._batches_max
            and (self._bytes == 0 or self._bytes + size_bytes <= BYTES_IN_FLIGHT_MAX)
            and self._identities.isdisjoint(identities)
        )

    def _release(self, identities: set[Hashable], size_bytes: int, crash: BaseException | None) -> None:
        with self._room:
            self._batches -= 1
            self._bytes -= size_bytes
            self._identities -= identities
            self._crash = self._crash or crash
            self._room.notify_all()

    def _raise_crash(self) -> None:
        """A defect of ours in a thread must not pass for items that were written."""
        if self._crash is not None:
            raise self._crash
