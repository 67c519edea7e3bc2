"""What becomes of every item handed to a writer: counted once, whatever happens.

written + skipped + failed + unsent equals what was put.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from msgspec import Struct, field

from migrator.errors import StoppedError
from migrator.mapping.canonical import item_size
from migrator.mapping.encoded import EncodedItems
from migrator.mapping.model import Attributes
from migrator.target.timeline import Step, Timeline
from migrator.target.wire import Batch, BatchResult

#: Latencies kept for the quantiles of a report.
LATENCIES_KEPT = 4_096


class FailedItem(Struct, frozen=True):
    """A valid item that is not in the table: the service's words say why."""

    key: Attributes
    attributes: Attributes
    code: str
    message: str


class WriteResult(Struct):
    """Counts of one writer. With `stopped` set, the segment is unfinished whatever the counts say."""

    written: int = 0
    skipped: int = 0
    failed: list[FailedItem] = field(default_factory=list)
    #: given to the writer, but not tried to the end when it stopped
    unsent: int = 0
    write_units: float = 0.0
    bytes: int = 0  #: of the written items, by DynamoDB's size rules
    index_entries: int = 0  #: with index_bytes, of what a dry run would write: for its forecast
    index_bytes: int = 0
    requests_sent: int = 0
    retried: int = 0  #: requests that carried something a second time
    throttled: int = 0
    unprocessed_items: int = 0
    latencies_ms: list[float] = field(default_factory=list)  #: a sample, of at most LATENCIES_KEPT
    timeline: Timeline = field(default_factory=Timeline)
    stopped: StoppedError | None = None


class Tally:
    """Adds up a WriteResult."""

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float] = time.time) -> None:
        self.result = WriteResult()
        self._clock = clock
        self._wall_clock = wall_clock
        self._moment_s = 0  #: the second that what follows is of
        self._items = self._throttled = 0
        self._write_units = 0.0
        self._answers = 0
        # Sampling decides about figures only, so it may as well be repeatable.
        self._random = random.Random(0)
        self.last_progress = clock()

    def close(self) -> WriteResult:
        """The counts, whole."""
        self._end_step()
        return self.result

    def take(self, items: EncodedItems) -> None:
        """What is to be written: all of it counts until it turns out that it is not."""
        self.result.bytes += items.size_bytes

    def request(self, *, again: bool) -> None:
        self.result.requests_sent += 1
        self.result.retried += again

    def answer(self, answered: BatchResult, latency_ms: float) -> None:
        result, written = self.result, len(answered.written)
        skipped, unprocessed = len(answered.skipped), len(answered.unprocessed)
        result.write_units += answered.write_units
        result.unprocessed_items += unprocessed
        result.written += written
        result.skipped += skipped
        if skipped:
            result.bytes -= answered.skipped.items.size_bytes
        if written or skipped:
            self.last_progress = self._clock()
        self._note(written, answered.write_units, throttled=unprocessed > 0)
        self._sample(latency_ms)

    def throttled(self) -> None:
        self.result.throttled += 1
        self._note(throttled=True)

    def failed(self, item: FailedItem) -> None:
        self.result.failed.append(item)
        self.result.bytes -= item_size(item.attributes)

    def unsent(self, batch: Batch) -> None:
        self.result.unsent += len(batch)
        self.result.bytes -= batch.items.size_bytes

    def stop(self, error: StoppedError) -> None:
        """The first reason is the one that is told."""
        self.result.stopped = self.result.stopped or error

    def _note(self, items: int = 0, write_units: float = 0.0, *, throttled: bool) -> None:
        moment_s = int(self._wall_clock())
        if moment_s != self._moment_s:
            self._end_step()
            self._moment_s = moment_s
        self._items += items
        self._write_units += write_units
        self._throttled += throttled

    def _end_step(self) -> None:
        step = Step(self._items, self._write_units, self._throttled)
        if any(step):
            self.result.timeline.add(self._moment_s, step)
        self._items = self._throttled = 0
        self._write_units = 0.0

    def _sample(self, latency_ms: float) -> None:
        """Reservoir sampling (Vitter's algorithm R): each answer is kept with equal chance."""
        self._answers += 1
        if len(self.result.latencies_ms) < LATENCIES_KEPT:
            self.result.latencies_ms.append(latency_ms)
        elif (
            place := int(self._random.random() * self._answers)
        ) < LATENCIES_KEPT:  # randrange takes eight times as long
            self.result.latencies_ms[place] = latency_ms
