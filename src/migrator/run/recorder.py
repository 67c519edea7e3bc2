"""Results of workers, taken in: dead letters on disk first, then the counts, then the checkpoint.

In this order, a reject that is counted can be read, and a part that is recorded needs nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from migrator.run.accounts import Accounts
from migrator.run.booking import counts_of
from migrator.run.checkpoint import Done
from migrator.run.rejects import FailedFile, RejectFile
from migrator.run.results import Requests
from migrator.run.segment import SegmentResult


class Record(Protocol):
    """What is told of parts of segments that are done, once their dead letters are on disk."""

    def record(
        self, parts: Iterable[tuple[int, Done]], rejects_bytes: int, failed_bytes: int, sent: Requests
    ) -> None: ...


class Recorder:
    """Takes the results of one pass."""

    def __init__(self, accounts: Accounts, rejects: RejectFile, failed: FailedFile, record: Record) -> None:
        self._accounts = accounts
        self._rejects = rejects
        self._failed = failed
        self._record = record
        self._unsettled: list[SegmentResult] = []

    def take(self, results: Iterable[SegmentResult]) -> None:
        """Record what is settled. The rest is repeated when the run goes on, so its lines come after all others."""
        settled: list[SegmentResult] = []
        for result in results:
            (settled if result.is_settled else self._unsettled).append(result)
        for result in settled:
            self.book(result)
        if settled:
            parts = [(result.number, _done(result)) for result in settled]
            self._record.record(parts, self._rejects.size_bytes, self._failed.size_bytes, self._accounts.requests)

    def close(self) -> None:
        """Count what was left in the middle: this report tells of it, and a resumed run cuts it off."""
        for result in self._unsettled:
            self.book(result)

    def book(self, result: SegmentResult) -> None:
        """Count what is recorded nowhere else: a resumed run finds it out again."""
        self._rejects.append(result.rejects)
        self._failed.append(result.failed)
        self._accounts.book(result)


def _done(result: SegmentResult) -> Done:
    return Done(
        entity=result.unit_number,
        rows_done=result.done,
        position=result.rest.low if result.rest else None,
        complete=result.complete,
        counts=counts_of(result),
    )
