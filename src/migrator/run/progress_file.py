"""How far a run is, for another shell: a small file in the state folder, replaced at most once a second.

It goes with the end of the run. One left by a run that was killed is told apart by the lock, which nobody holds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from migrator.run.accounts import Accounts
from migrator.run.checkpoint import Done
from migrator.run.segment import SegmentResult
from migrator.wholefile import whole_file

#: preparing: sources are copied and checked, keys proved, tables made or backed up
Phase = Literal["preparing", "writing", "deleting", "verifying"]

EVERY_S = 1.0
_COUNTS = ("read", "written", "unchanged", "rejected", "failed", "write_units")


class Progress(Struct, frozen=True):
    """Counts cover the whole run; rate and time left are of the part that is under way."""

    run_id: str
    dry_run: bool
    phase: Phase = "preparing"
    updated_at: float = 0.0  #: epoch seconds
    share: float = 0.0  #: of the rows, from 0 to 1, estimated
    left_s: float | None = None  #: None while nothing can be said
    read: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0
    failed: int = 0
    write_units: float = 0.0
    write_units_per_s: float = 0.0


class Share:
    """How much of the segments is done. Of what is under way only the rows so far are known, not how many it has."""

    def __init__(self, segments: int, segment_rows: int = 1, done: Mapping[int, Done] | None = None) -> None:
        self._segments = segments
        self._segment_rows = segment_rows
        self._done: dict[int, float] = {}
        for number, each in (done or {}).items():
            self.take(number, each.rows_done, complete=each.complete)

    def take(self, number: int, rows: int, *, complete: bool) -> None:
        self._done[number] = 1.0 if complete else rows / (rows + self._segment_rows)

    @property
    def value(self) -> float:
        """
        >>> share = Share(4, 100)
        >>> share.take(0, 100, complete=True); share.take(1, 100, complete=False)
        >>> share.value
        0.375
        """
        return sum(self._done.values()) / self._segments if self._segments else 1.0


class ProgressFile:
    """Kept by the coordinator, and by it alone."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._next = self._began = clock()
        self._progress = self._before = Progress("", dry_run=False)
        self._share = Share(1)

    @contextmanager
    def of_run(self, run_id: str, *, dry_run: bool) -> Iterator[None]:
        """The file is there for as long as this is open."""
        self._progress = Progress(run_id, dry_run)
        self._write()
        try:
            yield
        finally:
            with suppress(OSError):
                self._path.unlink()

    def enter(self, phase: Phase, accounts: Accounts, share: Share | None = None) -> None:
        """From here on the run does something else. `share` says how much of it is done; without it nothing changes."""
        self._share = share or self._share
        self._progress = replace(self._progress, phase=phase, left_s=None, **self._counts(accounts))
        self._began, self._before = self._clock(), self._progress
        self._write()

    def update(self, accounts: Accounts, results: Iterable[SegmentResult]) -> None:
        """Cheap enough for every result."""
        for result in results:
            self._share.take(result.number, result.done, complete=result.complete)
        if self._clock() >= self._next:
            self._progress = self._moved(accounts)
            self._write()

    def _moved(self, accounts: Accounts) -> Progress:
        now = replace(self._progress, **self._counts(accounts))
        taken_s = self._clock() - self._began
        done = now.share - self._before.share
        units = now.write_units - self._before.write_units
        return replace(
            now,
            left_s=taken_s * (1 - now.share) / done if done > 0 else None,
            write_units_per_s=units / taken_s if taken_s > 0 else 0.0,
        )

    def _counts(self, accounts: Accounts) -> dict[str, Any]:
        entities = accounts.entities.values()
        sums = {name: sum(getattr(entity, name) for entity in entities) for name in _COUNTS}
        return {**sums, "share": self._share.value}

    def _write(self) -> None:
        self._next = self._clock() + EVERY_S
        self._progress = replace(self._progress, updated_at=self._wall_clock())
        # A run goes on without it; where the disk is full, what matters says so.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path, durable=False) as file:
                file.write(json.dumps(to_builtins(self._progress)).encode())


def read_progress(path: Path) -> Progress | None:
    """None where there is none, or none that this version understands."""
    try:
        found = json.loads(path.read_bytes())
        return Progress(**{name: found[name] for name in Progress.__struct_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None
