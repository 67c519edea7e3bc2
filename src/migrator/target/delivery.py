"""Batches on their way, each until every item of it is written, skipped, failed or left unsent.

Unprocessed items go round again, only they. A batch that the service refuses is halved until the bad item
stands alone. An error that no request can get past stops the whole writer, and condemns no item.

Nothing here waits: who has to is put aside with a time, and `turn` goes on with whoever's time has come.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from migrator.errors import StoppedError, TargetError
from migrator.mapping.model import TableDefinition
from migrator.target.backoff import Patience, RetryPolicy
from migrator.target.faults import Verdict, error_code, fault_of, to_target_error, words_of
from migrator.target.governor import Governor
from migrator.target.outcome import FailedItem, Tally
from migrator.target.put import OnExisting, PutIfFree, key_of
from migrator.target.sender import Reply, Sender
from migrator.target.tablecheck import fatal_differences, mismatch_error
from migrator.target.wire import Batch, BatchResult, batch_body, read_batch

#: The description of the table as it is now, or None where there is none.
Describe = Callable[[], dict[str, Any] | None]

# What the service says of an item whose key is not the table's. With a mapping checked against the table before,
# it means that the table was made anew with other keys, and that all other items would fail as well.
_KEY_WORDS = ("does not match the schema", "missing the key", "type mismatch for key")
# Waits are taken in slices, so that a stop is noticed.
_SLICE_S = 0.25
# epoll waits for whole milliseconds.
_INSTANT_S = 0.001


class Load:
    """A batch that a writer handed over. It is settled when nothing of it is under way any more."""

    def __init__(self, batch: Batch, on_settled: Callable[[Load], None]) -> None:
        self.batch = batch
        self.on_settled = on_settled
        self.tries = 0


class _Try(Struct, eq=False):
    """Items that are sent together, and what is known of them."""

    load: Load
    batch: Batch
    patience: Patience
    again: bool = False
    maybe_applied: bool = False
    unprocessed: bool = False  #: the service has answered, and left them


#: when, an order among equals, who, and the error that it recovers from
_Waiting = tuple[float, int, _Try, TargetError]


class Delivery:
    """Sends loads, many at once, and settles each."""

    def __init__(
        self,
        sender: Sender,
        table: TableDefinition,
        tally: Tally,
        governor: Governor,
        *,
        describe: Describe,
        on_existing: OnExisting,
        policy: RetryPolicy,
        maybe_applied: bool,
        stop: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._sender = sender
        self._table = table
        self._tally = tally
        self._governor = governor
        self._describe = describe
        self._on_existing = on_existing
        self._policy = policy
        self._maybe_applied = maybe_applied
        self._stop = stop
        self._clock = clock
        self._ready: deque[_Try] = deque()
        self._waiting: list[_Waiting] = []
        self._order = itertools.count()

    def start(self, load: Load) -> None:
        """Take over a load."""
        batch = load.batch
        self._begin(load, [batch] if self._on_existing == "replace" else [Batch.of([item]) for item in batch.items])

    def turn(self, timeout_s: float) -> None:
        """Send what may be sent and take in what has come; wait for something to happen for at most so long."""
        halted = self.halted()
        self._wake(halted=halted)
        self._send_ready(halted=halted)
        self._sender.poll(min(timeout_s, self._next_wake_s()) if timeout_s else 0.0)

    def halted(self) -> bool:
        return self._tally.result.stopped is not None or self._stop()

    # ---- who goes when

    def _begin(self, load: Load, parts: Sequence[Batch]) -> None:
        load.tries += len(parts)
        for part in parts:
            self._ready.append(_Try(load, part, Patience(self._policy, self._clock), maybe_applied=self._maybe_applied))

    def _next_wake_s(self) -> float:
        waits = [_SLICE_S]
        if self._waiting:
            waits.append(max(0.0, self._waiting[0][0] - self._clock()))
        if self._ready and self._sender.free:
            waits.append(max(_INSTANT_S, self._governor.wait_s()))
        return min(waits)

    def _wake(self, *, halted: bool) -> None:
        now = self._clock() if self._waiting else 0.0
        while self._waiting and (halted or self._waiting[0][0] <= now):
            _, _, current, error = heapq.heappop(self._waiting)
            if halted:
                self._leave_waiting(current, error)
            else:
                self._ready.append(current)

    def _leave_waiting(self, current: _Try, error: TargetError) -> None:
        stopped = self._tally.result.stopped
        named = current.unprocessed and stopped is not None and stopped.code == error.code
        self._leave(current, error if named else None)

    def _send_ready(self, *, halted: bool) -> None:
        while self._ready and halted:
            self._leave(self._ready.popleft(), None)
        while self._ready and self._sender.free and self._governor.wait_s() <= 0:
            self._send(self._ready.popleft())

    # ---- one request

    def _send(self, current: _Try) -> None:
        self._governor.take(current.batch.write_units)
        self._tally.request(again=current.again)
        current.again = True
        if self._on_existing == "replace":
            body = batch_body(self._table, current.batch)
            self._sender.submit("BatchWriteItem", body, partial(self._take_batch, current))
            return
        put = PutIfFree(
            self._sender.submit,
            self._table,
            current.batch,
            self._on_existing,
            current.maybe_applied,
            partial(self._take, current),
        )
        put.send()

    def _take_batch(self, current: _Try, reply: Reply) -> None:
        self._take(current, None if reply.error else read_batch(reply.document, current.batch, self._table), reply)

    def _take(self, current: _Try, result: BatchResult | None, reply: Reply) -> None:
        self._governor.settle(current.batch.write_units, result.write_units if result else 0.0)
        if result:
            self._take_result(current, result, reply.latency_ms)
        elif reply.error:
            self._take_error(current, reply.error)

    def _take_result(self, current: _Try, result: BatchResult, latency_ms: float) -> None:
        self._tally.answer(result, latency_ms)
        if result.refused is not None:
            self._fail(current.batch, "item_exists", result.refused)
        current.batch = result.unprocessed
        if not current.batch.items:
            self._settle(current)
            return
        if result.written:
            current.patience.progressed()
        current.unprocessed = True
        self._governor.throttled()
        error = TargetError(
            f'table "{self._table.name}": items stay unprocessed\n'
            "  lower settings: write_rate, or give the table more capacity; then run again",
            code="throttled",
            retryable=True,
        )
        self._retry(current, Verdict.THROTTLED, error)

    def _take_error(self, current: _Try, error: Exception) -> None:
        verdict = fault_of(error).verdict
        if verdict in (Verdict.REFUSED, Verdict.TOO_LARGE):
            self._part_or_fail(current, error)
            return
        stopped = to_target_error(error, f'write to table "{self._table.name}"')
        if verdict is Verdict.FINAL:
            self._tally.stop(stopped)
            self._leave(current, None)
            return
        if verdict is Verdict.THROTTLED:
            self._tally.throttled()
            self._governor.throttled()
        else:
            current.maybe_applied = True
        self._retry(current, verdict, stopped)

    def _retry(self, current: _Try, verdict: Verdict, error: TargetError) -> None:
        delay_s = current.patience.delay_s(verdict)
        if delay_s is None:
            self._give_up(current, error)
        else:
            heapq.heappush(self._waiting, (self._clock() + delay_s, next(self._order), current, error))

    def _give_up(self, current: _Try, error: TargetError) -> None:
        """Items that others overtake are failed; when nothing gets through, it is the target that stops us.

        Even then, items that were answered as unprocessed are named as failed: the service had them, and left them.
        """
        overtaken = self._tally.last_progress > current.patience.since
        if not overtaken:
            self._tally.stop(error)
        self._leave(current, error if overtaken or current.unprocessed else None)

    def _part_or_fail(self, current: _Try, error: Exception) -> None:
        batch = current.batch
        if len(batch) > 1:
            # Neither written nor unwritten may be assumed of a refused batch; puts of the same item can be repeated.
            middle = len(batch) // 2
            self._begin(current.load, [Batch.of(batch.items[:middle]), Batch.of(batch.items[middle:])])
        elif (other_table := self._other_table(error)) is None:
            self._fail(batch, "item_refused", f"{error_code(error)}: {words_of(error)}")
        else:
            self._tally.stop(other_table)
            self._tally.unsent(batch)
        self._settle(current)

    def _other_table(self, error: Exception) -> StoppedError | None:
        words = words_of(error).lower()
        if not any(each in words for each in _KEY_WORDS):
            return None
        if self._tally.result.stopped is not None:
            return self._tally.result.stopped
        differences = fatal_differences(self._table, self._describe())
        return mismatch_error(self._table, differences) if differences else None

    # ---- the end of a try

    def _leave(self, current: _Try, error: TargetError | None) -> None:
        """Give the items up: as failed for the error's reason, or as unsent."""
        if error:
            self._fail(current.batch, error.code, str(error).splitlines()[0])
        else:
            self._tally.unsent(current.batch)
        self._settle(current)

    def _fail(self, batch: Batch, code: str, message: str) -> None:
        for item in batch.items:
            self._tally.failed(FailedItem(key_of(item, self._table), item.attributes, code, message))

    def _settle(self, current: _Try) -> None:
        current.load.tries -= 1
        if not current.load.tries:
            current.load.on_settled(current.load)
