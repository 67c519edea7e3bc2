"""The workers of a command, as its coordinator sees them: tasks out, results in, a few of them ahead.

Everything a worker gets is picklable and the seam is `concurrent.futures.Executor`: behind it are processes of this
machine (`run.pool`) or a Dask cluster (`run.cluster`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from migrator.run.stopping import StopSignal, heeding_signals, stopping_after
from migrator.target.governor import Governor

Result = TypeVar("Result")


class Crew(Protocol):
    """Who does the work."""

    stop: StopSignal
    governors: Mapping[str, Governor]  #: by table

    @property
    def window(self) -> int:
        """How many tasks keep all of them busy; they may become more or fewer."""

    def require(self) -> None:
        """Raises StoppedError where nobody is there, or somebody who would do other work."""

    def executor(self) -> AbstractContextManager[Executor]: ...


class Workers:
    """The workers of one command, and the signal that stops them."""

    def __init__(self, crew: Crew, executor: Executor) -> None:
        self.stop = crew.stop
        self.governors = crew.governors
        self.require = crew.require  #: before anything is written
        self._crew = crew
        self._executor = executor

    def map(self, function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
        """`map_together`, one result at a time."""
        for results in self.map_together(function, tasks, lambda _: None):
            yield from results

    def map_together(
        self,
        function: Callable[..., Result],
        tasks: Iterable[tuple[Any, ...]],
        follow: Callable[[Result], tuple[Any, ...] | None],
    ) -> Iterator[list[Result]]:
        """Run tasks (argument tuples), a few of them ahead, and give results as they come, together or alone.

        Tasks are drawn only when there is room, so that a generator of them may look at what has come back.
        `follow` names the task that goes on where a result ended; it is asked when the result has been dealt with.
        """
        waiting: set[Future[Result]] = set()
        source = iter(tasks)
        exhausted = False
        try:
            while True:
                while not exhausted and len(waiting) < self._crew.window:
                    task = next(source, None)
                    if task is None:
                        exhausted = True
                    else:
                        waiting.add(self._executor.submit(function, *task))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                results = [future.result() for future in done]
                yield results
                followers = (task for task in map(follow, results) if task is not None)
                waiting |= {self._executor.submit(function, *task) for task in followers}
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def working(crew: Crew, *, max_duration_s: float | None = None) -> Iterator[Workers]:
    """The crew at work, for one command, which begins with this.

    SIGINT, SIGTERM and the end of `max_duration_s` ask for a stop; another signal, later, ends the process at once.
    """
    with heeding_signals(crew.stop), crew.executor() as executor, stopping_after(crew.stop, max_duration_s):
        yield Workers(crew, executor)
