"""Child rows beside their parents: both come in one order, some hundred at a time, and meet here.

Nothing is asked of a parent by itself, and no more is held than belongs to the parents at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import add, itemgetter
from typing import Any

from migrator.source.fetch import FIRST_ROWS, RawRow, count_like

Identity = Any

_NO_ROWS: Sequence[RawRow] = ()


class ChildRows:
    """The rows of one child read. `ancestors` is how many values at their beginning tell the parent."""

    def __init__(self, batches: Iterator[list[RawRow]], ancestors: int, source: str) -> None:
        self._batches = batches
        self._parent_of = identity(ancestors)
        self._source = source
        self._waiting: dict[Identity, list[RawRow]] = defaultdict(list)
        self._last: Identity = None  #: the parent of the last row that came, None at the end
        self._read_on()

    def take(self, parents: Sequence[Identity]) -> list[Sequence[RawRow]]:
        """The rows of each of these parents, which are the next in order."""
        these = set(parents)
        while self._last in these:
            self._read_on()
        take = self._waiting.pop
        return [take(parent, _NO_ROWS) for parent in parents]

    def _read_on(self) -> None:
        self._last = None
        for parent, rows in groupby(next(self._batches, _NO_ROWS), self._parent_of):
            self._waiting[parent] += rows
            self._last = parent

    def check_empty(self) -> None:
        """Raises AssertionError for rows that met no parent."""
        for parent in self._waiting:
            raise AssertionError(f"child rows of {self._source} did not meet their parent: {parent!r}")


def identity(width: int) -> Callable[[RawRow], Identity]:
    """What tells a row apart by so many values at its beginning."""
    return itemgetter(0) if width == 1 else itemgetter(slice(width))


def with_children(batches: Iterable[list[RawRow]], width: int, children: Sequence[ChildRows]) -> Iterator[list[RawRow]]:
    """The same rows, told apart by so many values, each with its child rows behind it. Raises as `check_empty`.

    Where they have many, fewer come at a time: as with `fetch` the last one stands for those that follow.
    """
    identity_of = identity(width)
    count = FIRST_ROWS
    for batch in batches:
        rest = batch
        while rest:
            rows, rest = rest[:count], rest[count:]
            parents = list(map(identity_of, rows))
            whole = list(map(add, rows, zip(*[child.take(parents) for child in children], strict=True)))
            yield whole
            count = count_like(whole[-1])
    for child in children:
        child.check_empty()
