"""One batch, sent until every item of it is written, skipped, failed or left unsent.

Unprocessed items go round again, only they. A batch that the service refuses is halved until the bad item
stands alone. An error that no request can get past stops the whole writer, and condemns no item.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from migrator.errors import TargetError
from migrator.mapping.model import TableDefinition
from migrator.target.backoff import Patience, RetryPolicy, Timing, pause
from migrator.target.faults import CLIENT_ERRORS, Verdict, error_code, fault_of, to_target_error, words_of
from migrator.target.governor import Governor
from migrator.target.outcome import Entry, Tally
from migrator.target.put import OnExisting, put_if_free
from migrator.target.tablecheck import fatal_differences, mismatch_error
from migrator.target.tablefound import describe
from migrator.target.wire import BatchResult, send_batch, write_units

# What the service says of an item whose key is not the table's. With a mapping checked against the table before,
# it means that the table was made anew with other keys, and that all other items would fail as well.
_KEY_WORDS = ("does not match the schema", "missing the key", "type mismatch for key")


@dataclass
class _Try:
    """Entries that are sent together, and what is known of them."""

    entries: tuple[Entry, ...]
    patience: Patience
    again: bool = False
    maybe_applied: bool = False
    unprocessed: bool = False  #: the service has answered, and left them


class Delivery:
    """Sends batches for several threads at once; what it holds is shared by them all."""

    def __init__(
        self,
        client: Any,
        table: TableDefinition,
        tally: Tally,
        governor: Governor,
        *,
        on_existing: OnExisting,
        policy: RetryPolicy,
        maybe_applied: bool,
        stop: Callable[[], bool],
        timing: Timing,
    ) -> None:
        self._client = client
        self._table = table
        self._tally = tally
        self._governor = governor
        self._on_existing = on_existing
        self._policy = policy
        self._maybe_applied = maybe_applied
        self._stop = stop
        self._timing = timing
        self._table_lock = threading.Lock()

    def halted(self) -> bool:
        return self._tally.result.stopped is not None or self._stop()

    def deliver(self, batch: tuple[Entry, ...]) -> None:
        parts: list[tuple[Entry, ...]] = [(entry,) for entry in reversed(batch)]
        if self._on_existing == "replace":
            parts = [batch]
        while parts:
            parts.extend(self._deliver_part(parts.pop()))

    def _deliver_part(self, entries: tuple[Entry, ...]) -> tuple[tuple[Entry, ...], ...]:
        """Settle the entries; what must be sent in smaller parts comes back."""
        current = _Try(entries, Patience(self._policy, self._timing.clock), maybe_applied=self._maybe_applied)
        while current.entries:
            reserved = sum(write_units(entry.item, self._table) for entry in current.entries)
            if not pause(self._governor.reserve(reserved), self._timing, self.halted):
                self._tally.unsent(current.entries)
                break
            self._tally.request(again=current.again)
            current.again = True
            try:
                result = self._send(current)
            except CLIENT_ERRORS as error:
                self._governor.settle(reserved, 0.0)
                verdict = fault_of(error).verdict
                if verdict in (Verdict.REFUSED, Verdict.TOO_LARGE):
                    return self._part_or_fail(current.entries, error)
                self._take_error(current, verdict, error)
            else:
                self._governor.settle(reserved, result.write_units)
                self._take_result(current, result)
        return ()

    def _send(self, current: _Try) -> BatchResult:
        if self._on_existing == "replace":
            return send_batch(self._client, self._table, current.entries, self._timing.clock)
        (entry,) = current.entries
        return put_if_free(
            self._client,
            self._table,
            entry,
            self._on_existing,
            self._timing.clock,
            maybe_applied=current.maybe_applied,
        )

    def _take_result(self, current: _Try, result: BatchResult) -> None:
        self._tally.answer(result.latency_ms, result.write_units, len(result.unprocessed))
        self._tally.written(result.written)
        self._tally.skipped(result.skipped)
        if result.refused is not None:
            self._tally.failed(current.entries, "item_exists", result.refused)
        current.entries = result.unprocessed
        if result.written:
            current.patience.progressed()
        if current.entries:
            current.unprocessed = True
            self._governor.throttled()
            error = TargetError(
                f'table "{self._table.name}": items stay unprocessed\n'
                "  lower settings: write_rate, or give the table more capacity; then run again",
                code="throttled",
                retryable=True,
            )
            self._wait(current, Verdict.THROTTLED, error)

    def _take_error(self, current: _Try, verdict: Verdict, error: BaseException) -> None:
        stopped = to_target_error(error, f'write to table "{self._table.name}"')
        if verdict is Verdict.FINAL:
            self._tally.stop(stopped)
            self._leave(current, stopped, failed=False)
            return
        if verdict is Verdict.THROTTLED:
            self._tally.throttled()
            self._governor.throttled()
        else:
            current.maybe_applied = True
        self._wait(current, verdict, stopped)

    def _wait(self, current: _Try, verdict: Verdict, error: TargetError) -> None:
        delay_s = current.patience.delay_s(verdict)
        if delay_s is None:
            self._give_up(current, error)
        elif not pause(delay_s, self._timing, self.halted):
            stopped = self._tally.result.stopped
            named = current.unprocessed and stopped is not None and stopped.code == error.code
            self._leave(current, error, failed=named)

    def _give_up(self, current: _Try, error: TargetError) -> None:
        """Items that others overtake are failed; when nothing gets through, it is the target that stops us.

        Even then, items that were answered as unprocessed are named as failed: the service had them, and left them.
        """
        overtaken = self._tally.last_progress > current.patience.since
        if not overtaken:
            self._tally.stop(error)
        self._leave(current, error, failed=overtaken or current.unprocessed)

    def _leave(self, current: _Try, error: TargetError, *, failed: bool) -> None:
        if failed:
            self._tally.failed(current.entries, error.code, str(error).splitlines()[0])
        else:
            self._tally.unsent(current.entries)
        current.entries = ()

    def _part_or_fail(self, entries: tuple[Entry, ...], error: BaseException) -> tuple[tuple[Entry, ...], ...]:
        if len(entries) > 1:
            # Neither written nor unwritten may be assumed of a refused batch; puts of the same item can be repeated.
            middle = len(entries) // 2
            return entries[middle:], entries[:middle]
        other_table = self._other_table(error)
        if other_table is None:
            self._tally.failed(entries, "item_refused", f"{error_code(error)}: {words_of(error)}")
        else:
            self._tally.stop(other_table)
            self._tally.unsent(entries)
        return ()

    def _other_table(self, error: BaseException) -> TargetError | None:
        words = words_of(error).lower()
        if not any(each in words for each in _KEY_WORDS):
            return None
        with self._table_lock:
            if self._tally.result.stopped is not None:
                return self._tally.result.stopped
            description = describe(self._client, self._table.name, timing=self._timing)
        differences = fatal_differences(self._table, description)
        return mismatch_error(self._table, differences) if differences else None
