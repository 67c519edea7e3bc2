"""How `migrator runs --follow` shows a run: a live line at a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import to_builtins

from migrator.cli.options import show_progress
from migrator.cli.outcome import show

if TYPE_CHECKING:
    from migrator.run.plan import Plan
    from migrator.run.progress_file import Progress

#: In a pipe a line comes so often, and with every change of what the run does.
EVERY_S = 10.0

_Display = Callable[["Progress | None"], None]


def follow(plan: Plan, *, as_json: bool) -> None:
    """Show a run until it has ended, and how."""
    from migrator.run.follow import end_of, iter_progress

    last: Progress | None = None
    with _display(as_json=as_json) as display:
        for progress in iter_progress(plan):
            last = progress or last
            display(progress)
    text, report = end_of(plan, last)
    show(json.dumps(report or {"message": text}, ensure_ascii=False) if as_json else text)


@contextmanager
def _display(*, as_json: bool) -> Iterator[_Display]:
    if as_json:
        yield _JsonLines()
    elif sys.stdout.isatty() and show_progress():
        from migrator.run.follow import progress_line
        from migrator.run.progress import live_line

        with live_line() as line:
            yield lambda progress: line.set_description_str(progress_line(progress, time.time()))
    else:
        yield _Lines()


class _JsonLines:
    """Each state of the file once."""

    def __init__(self) -> None:
        self._shown: Progress | None = None

    def __call__(self, progress: Progress | None) -> None:
        if progress and progress != self._shown:
            self._shown = progress
            show(json.dumps(to_builtins(progress)))


class _Lines:
    def __init__(self) -> None:
        self._next = 0.0
        self._phase: str | None = None

    def __call__(self, progress: Progress | None) -> None:
        from migrator.run.follow import progress_line

        phase = progress.phase if progress else ""
        if phase != self._phase or time.monotonic() >= self._next:
            self._phase, self._next = phase, time.monotonic() + EVERY_S
            show(progress_line(progress, time.time()))
