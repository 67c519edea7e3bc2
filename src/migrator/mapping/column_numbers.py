"""Columns of numbers: as they go on the wire, and what DynamoDB counts of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

import orjson
from msgspec import Struct

from migrator.mapping.canonical import number_size
from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.counts import Counts, Listed
from migrator.mapping.wirevalues import OPENINGS, number

# Bytes as integers: to look for them takes a tenth of what it takes for bytes, which are tried as an integer first.
_EXPONENT, _NO_NUMBER = b"en"
_MINUS_ZERO = b"-0,"
_SHAPES_MAX = 4096
# Every digit but 0 alike, and every digit
_SHAPES = bytes.maketrans(b"23456789", b"1" * 8)
_DIGITS = bytes.maketrans(b"023456789", b"1" * 9)


def numbers(column: Column) -> Wires:
    """Integers and REALs. Raises RowRejected."""
    # What follows the last makes it like the others.
    spelled = (orjson.dumps(column)[1:-1] + b",").replace(b".0,", b",")
    if _EXPONENT in spelled or _NO_NUMBER in spelled or spelled.find(_MINUS_ZERO) >= 0:
        return odd_numbers(column)
    spelled = spelled[:-1]
    values = spelled.split(b",")
    return _wires(values, _Shortest(spelled, (values,)))


def plain_numbers(spelled: str) -> Wires:
    """Numbers that are spelled as DynamoDB's are, with commas between them."""
    wires = spelled.encode()
    return _wires(wires.split(b","), _Spelled(wires))


def odd_numbers(column: Column) -> Wires:
    """Any numbers, each by itself. Raises RowRejected."""
    values, surplus = zip(*map(number, column), strict=True)
    return Wires((OPENINGS["N"], values), 0, (Listed(surplus),))


def _wires(values: list[bytes], surplus: Counts) -> Wires:
    return Wires((OPENINGS["N"] + b'"', values, b'"'), 0, (surplus,))


def together(surpluses: Sequence[Counts]) -> list[Counts]:
    """The same, with one for all columns of numbers: a call for each of a hundred costs a twentieth of an item."""
    numbers, others = list[_Shortest](), list[Counts]()
    for each in surpluses:
        if isinstance(each, _Shortest):
            numbers.append(each)
        else:
            others.append(each)
    return [*others, _Shortest.of(numbers)] if numbers else others


class _Surpluses(dict[bytes, int]):
    """That of a number by its shape, in which a 1 stands for every digit but 0."""

    def __missing__(self, shape: bytes) -> int:
        if len(self) >= _SHAPES_MAX:
            self.clear()
        surplus = self[shape] = len(shape) - number_size(shape.decode())
        return surplus


_surplus_of = _Surpluses().__getitem__


class _Spelled(Struct, frozen=True):
    """The surplus of a column of numbers."""

    spelled: bytes

    def total(self) -> int:
        return sum(self.each())

    def each(self) -> Iterable[int]:
        return map(_surplus_of, self.spelled.translate(_SHAPES).split(b","))


class _Shortest(Struct, frozen=True):
    """The surplus of columns of numbers, none of which has a digit too many, as SQLite's have not.

    So nobody has to look at each: all are searched at once, or those of a row.
    """

    spelled: bytes
    columns: Sequence[list[bytes]]  #: the same, one by one

    @classmethod
    def of(cls, parts: Sequence[_Shortest]) -> _Shortest:
        return cls(b",".join([part.spelled for part in parts]), [column for part in parts for column in part.columns])

    def total(self) -> int:
        return _surplus(self.spelled, sum(map(len, self.columns)))

    def each(self) -> Iterable[int]:
        if len(self.columns) == 1:
            return _Spelled(self.spelled).each()
        return map(_surplus, map(b",".join, zip(*self.columns, strict=True)), repeat(len(self.columns)))


def _surplus(spelled: bytes, count: int) -> int:
    """Of so many numbers.

    A number counts as `number_size` says: a byte, one for each pair of digits around its point, the outer pairs of
    zeros left out, and one for a minus. So its point is surplus, and a byte of each whole pair, and zeros are.

    >>> _surplus(b"1234,-0.05,100", 3)
    4
    """
    unsigned = b",%b," % spelled.replace(b"-", b"")
    whole_pairs = unsigned.translate(_DIGITS).count(b"11")
    zeros = unsigned.count(b",0")
    if zeros:
        zeros += _pairs_of_zeros(unsigned, b",0.", b"")
    zeros += _pairs_of_zeros(unsigned, b"", b",")
    return unsigned.count(b".") + whole_pairs + zeros - count


def _pairs_of_zeros(spelled: bytes, before: bytes, after: bytes) -> int:
    """How many stand between what is before and after them, one after another."""
    pairs, zeros = 0, b"00"
    while found := spelled.count(before + zeros + after):
        pairs += found
        zeros += b"00"
    return pairs
