"""One run of the benchmark: how much of it there is, and the turns that subjects take."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.case import Case
from benchmarks.measure import Result, Turns, WorkFolder, measure
from benchmarks.subjects import BATCH_WRITER, FLOOR, OURS, OURS_ALONE, PEER_SUBJECTS, Subject


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. `turns` are those of migrator, the floor and batch_writer, against which everyone is held.

    The other peers are slow and take one turn each.
    """

    rows: int  #: migrator's, where it stands beside others: enough for its start not to be what is measured
    peer_rows: int  #: the others'
    turns: int
    steps: tuple[int, ...]  #: rows, where the cost against rows is measured
    column_rows: int
    alone_rows: int
    large_rows: int
    units_per_s: int


FULL = Scale(1_000_000, 100_000, 3, (10_000, 100_000, 1_000_000), 400_000, 400_000, 1000, 4000)
QUICK = Scale(200_000, 10_000, 1, (10_000, 50_000, 200_000), 10_000, 100_000, 100, 2000)


@dataclass(frozen=True, slots=True)
class Bench:
    """A scale, and where the sources are made."""

    scale: Scale
    work: WorkFolder

    def turn(
        self, subject: Subject, case: Case, rows: int, *, latency_ms: float = 0, tls: bool = False, limit: float = 0
    ) -> Result:
        result = measure(subject, case, rows, self.work, latency_ms=latency_ms, tls=tls, limit=limit)
        where = f"{case.name}, {rows:,} rows, {latency_ms:g} ms{', TLS' if tls else ''}"
        speed = f"{result.items_per_s:>9,.0f} items/s {result.cpu_s_per_100k:>8.3f} CPU s/100k"
        print(f"{subject.name:28} {where:34} {speed} {result.worker_mib:>5.0f} MiB", file=sys.stderr, flush=True)
        return result

    def in_turn(self, taking: Sequence[tuple[Subject, int]], case: Case, *, latency_ms: float = 0) -> list[Turns]:
        """Each subject with its rows, one after another, time and again."""
        turns = [
            [self.turn(subject, case, rows, latency_ms=latency_ms) for subject, rows in taking]
            for _ in range(self.scale.turns)
        ]
        return [Turns(results) for results in zip(*turns, strict=True)]

    def beside_peers(
        self, subjects: Sequence[Subject], case: Case, *, latency_ms: float = 0, tls: bool = False
    ) -> dict[Subject, Turns]:
        """Several turns are spread over those of the other peers; ours is next to batch_writer's in each."""
        found: dict[Subject, list[Result]] = {subject: [] for subject in subjects}
        peers = [subject for subject in subjects if subject in PEER_SUBJECTS and subject is not BATCH_WRITER]
        steady = sorted(set(subjects) - set(peers), key=[OURS_ALONE, FLOOR, OURS, BATCH_WRITER].index)
        for turn in range(max(len(peers), self.scale.turns)):
            for subject in [*(steady if turn < self.scale.turns else ()), *peers[turn : turn + 1]]:
                rows = self.scale.rows if subject in (OURS, OURS_ALONE) else self.scale.peer_rows
                found[subject].append(self.turn(subject, case, rows, latency_ms=latency_ms, tls=tls))
        return {subject: Turns(results) for subject, results in found.items()}
