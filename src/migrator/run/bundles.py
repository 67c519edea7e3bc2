"""Small segments, written by a worker one after the other: each by itself would cost a task, an answer and a commit.

Of thousands of small files that is most of the work. What a kill costs stays what was under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from migrator.run.collisions import Loser
from migrator.run.segment import Segment, SegmentResult
from migrator.run.sinks import WriteOptions
from migrator.run.worker import WORKER
from migrator.run.writing import write_segment

#: What `write_segment` is given.
Task = tuple[Segment, Mapping[int, Loser], WriteOptions, int | None]
Bundle = tuple[list[Task]]

_SEGMENTS_MAX = 16


def bundled(tasks: Iterable[Task]) -> Iterator[Bundle]:
    """Those of small segments together, any other alone."""
    small: list[Task] = []
    for task in tasks:
        if not task[0].small:
            yield ([task],)
            continue
        small.append(task)
        if len(small) == _SEGMENTS_MAX:
            yield (small,)
            small = []
    if small:
        yield (small,)


def following(follow: Callable[[SegmentResult], Task | None]) -> Callable[[list[SegmentResult]], Bundle | None]:
    """What goes on where the segments of a bundle ended."""

    def follow_all(results: list[SegmentResult]) -> Bundle | None:
        tasks = [task for task in map(follow, results) if task is not None]
        return (tasks,) if tasks else None

    return follow_all


def write_bundle(tasks: list[Task]) -> list[SegmentResult]:
    """The results, as far as nothing said to stop: what is not begun then is left as after a stop."""
    results: list[SegmentResult] = []
    rejected = 0
    for segment, losers, options, reject_limit in tasks:
        room = None if reject_limit is None else reject_limit - rejected
        if results and (WORKER.is_stopped() or (room is not None and room < 0)):
            break
        result = write_segment(segment, losers, options, room)
        results.append(result)
        rejected += len(result.rejects)
        if not result.is_settled:
            break
    return results
