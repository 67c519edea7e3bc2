"""One pass over a run's segments: what is left of each is written, part by part, and recorded as it comes back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from migrator.errors import MigratorError, StoppedError
from migrator.run.accounts import Accounts
from migrator.run.bundles import Task, bundled, following, write_bundle
from migrator.run.checkpoint import Done
from migrator.run.collisions import Losers
from migrator.run.incremental import Increment
from migrator.run.recorder import Recorder
from migrator.run.resume import rest_of
from migrator.run.segment import Segment, SegmentResult
from migrator.run.sinks import WriteOptions
from migrator.run.watermark import Watermarks
from migrator.run.workers import Workers

T = TypeVar("T")


class WritingPass(Struct):
    """What it takes; `error` is what ended it early."""

    segments: Sequence[Segment]
    done: Mapping[int, Done]  #: how far an earlier part of the run came, by the segments' numbers
    options: WriteOptions
    workers: Workers
    accounts: Accounts
    rejects: Path
    losers: Losers | None = None
    increment: Increment | None = None
    watermarks: Watermarks | None = None
    error: MigratorError | None = None

    def write(self, recorder: Recorder) -> Iterator[Sequence[SegmentResult]]:
        """Results as they come, when they are recorded."""
        tasks = bundled(map(self._task, self._iter_left()))
        for done in self.workers.map_together(write_bundle, tasks, following(self._follow)):
            results = list(itertools.chain.from_iterable(done))
            self._settle(recorder, results)
            yield results

    def _task(self, segment: Segment) -> Task:
        lost = self.losers.of_segment(segment.unit.number, segment.number) if self.losers else {}
        if self.watermarks and not lost:  # rows that lose are known by their places among all
            segment = self.watermarks.narrow(segment)
        return segment, lost, self.options, self.accounts.reject_room()

    def _follow(self, result: SegmentResult) -> Task | None:
        if result.rest is None or self.workers.stop.flag.is_set():
            return None
        return self._task(self.segments[result.number].after(result.done, result.rest))

    def _iter_left(self) -> Iterator[Segment]:
        for segment in spread(self.segments):
            if self.workers.stop.flag.is_set():
                return
            if rest := rest_of(segment, self.done.get(segment.number)):
                yield rest

    def _settle(self, recorder: Recorder, results: Sequence[SegmentResult]) -> None:
        try:
            if self.increment:
                self.increment.take(results)
            recorder.take(results)
        except StoppedError:
            self.workers.stop.stop()  # the workers must not go on with what can no longer be recorded
            raise
        errors = (result.error or result.write.stopped for result in results)
        over_limit = self.accounts.over_limit(self.rejects)
        self.error = self.error or next(filter(None, errors), over_limit)
        if self.error is not None:
            self.workers.stop.stop()


def spread(segments: Sequence[T], places: int = 16) -> Iterator[T]:
    """The segments, from so many places in turn: neighbours may all give items of one partition.

    >>> list(spread(range(7), places=3))
    [0, 3, 6, 1, 4, 2, 5]
    """
    stride = -(-len(segments) // places)
    return itertools.chain.from_iterable(segments[start::stride] for start in range(stride))
