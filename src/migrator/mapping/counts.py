"""A number for each of many: their total, or each by itself, and neither before somebody asks.

What items take by DynamoDB's size rules is asked of all that were written, seldom of one. A total of a column is a few
instructions for all of its values, and each by itself is one instruction for each.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from operator import sub
from typing import Protocol

from msgspec import Struct


class Counts(Protocol):
    """What `each` gives adds up to `total`."""

    def total(self) -> int: ...

    def each(self) -> Iterable[int]: ...


class Listed(Struct, frozen=True):
    """Known one by one."""

    counts: Sequence[int]

    def total(self) -> int:
        return sum(self.counts)

    def each(self) -> Iterable[int]:
        return self.counts


class Chained(Struct, frozen=True):
    """One after another."""

    parts: Sequence[Counts]

    def total(self) -> int:
        return sum([part.total() for part in self.parts])

    def each(self) -> Iterable[int]:
        return chain.from_iterable([part.each() for part in self.parts])


class Summed(Struct, frozen=True):
    """Of so many: what is the same for each, and what others say of each.

    >>> counts = Summed(3, 10, (Listed([1, 2, 3]),))
    >>> counts.total(), list(counts.each())
    (36, [11, 12, 13])
    """

    count: int
    same: int
    others: Sequence[Counts] = ()

    def total(self) -> int:
        return self.same * self.count + sum([other.total() for other in self.others])

    def each(self) -> Iterable[int]:
        return map(sum, zip(repeat(self.same, self.count), *[other.each() for other in self.others], strict=True))


class Less(Struct, frozen=True):
    """So much each, less what does not count."""

    counts: Sequence[int]
    surplus: Counts

    def total(self) -> int:
        return sum(self.counts) - self.surplus.total()

    def each(self) -> Iterable[int]:
        return map(sub, self.counts, self.surplus.each())


class Scattered(Struct, frozen=True):
    """One for each value of a column, in order, and the same for each None in it."""

    column: Sequence[object]
    there: Summed
    absent: int

    def total(self) -> int:
        return self.there.total() + self.absent * (len(self.column) - self.there.count)

    def each(self) -> Iterable[int]:
        there = iter(self.there.each())
        return [self.absent if value is None else next(there) for value in self.column]


class Mixed(Struct, frozen=True):
    """Of several kinds: those of a kind in the order in which they stand."""

    kinds: Sequence[Hashable]
    of_kind: Mapping[Hashable, Counts]

    def total(self) -> int:
        return sum([counts.total() for counts in self.of_kind.values()])

    def each(self) -> Iterable[int]:
        rest: Mapping[Hashable, Iterator[int]] = {kind: iter(counts.each()) for kind, counts in self.of_kind.items()}
        return [next(rest[kind]) for kind in self.kinds]


class Grouped(Struct, frozen=True):
    """Lists: of so many members each, beside what a list has by itself, filled or empty."""

    lengths: Sequence[int]
    members: Counts
    filled: int
    empty: int

    def total(self) -> int:
        empty = self.lengths.count(0)
        return self.members.total() + self.filled * (len(self.lengths) - empty) + self.empty * empty

    def each(self) -> Iterable[int]:
        members = iter(self.members.each())
        return [self.filled + sum(islice(members, length)) if length else self.empty for length in self.lengths]
