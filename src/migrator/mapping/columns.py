"""Rows as columns, and columns as they go on the wire: loops in C instead of a Python instruction for each value.

Only what is ordinary in a whole column is known here; anything else raises Odd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import sub
from typing import Any, NamedTuple

import orjson

from migrator.mapping.canonical import number_size
from migrator.mapping.counts import Counts, Listed, Summed
from migrator.mapping.wirevalues import FALSE_SURPLUS, OPENINGS, TRUE_SURPLUS, Odd, binary, number

Column = Sequence[Any]
#: Bytes that are the same in all rows, or those of each row.
_Piece = bytes | Sequence[bytes]

NULL = frozenset((type(None),))
INTEGER = frozenset((int,))
TEXT = frozenset((str,))

_SHAPES_MAX = 4096
# Where it indents, orjson writes this between the members of a list. JSON escapes a line's end, so no member holds it.
_BETWEEN = b",\n  "
_DIGITS = bytes.maketrans(b"23456789", b"1" * 8)
_BOOLEANS = tuple(OPENINGS["BOOL"] + value for value in (b"false", b"true"))
_BOOLEAN_SURPLUS = (FALSE_SURPLUS, TRUE_SURPLUS)


class Wires(NamedTuple):
    """The values of a column, in pieces: what all rows have in common, and columns of what they have not.

    Their surplus is told in the same way, and worked out where it is asked. A closing bracket of each is left to what
    follows it.
    """

    pieces: tuple[_Piece, ...]
    surplus: int = 0
    surpluses: tuple[Counts, ...] = ()

    def joined(self, count: int, before: bytes = b"", after: bytes = b"") -> list[bytes]:
        """Each value by itself."""
        return _joined(_merged(before, *self.pieces, after), count)

    def parted(self, count: int) -> tuple[bytes, Sequence[bytes], bytes]:
        """The same without what all begin and end with, which stands before and behind."""
        begin, *inner = _merged(b"", *self.pieces, b"")
        end = inner.pop() if inner else b""
        assert isinstance(begin, bytes)
        assert isinstance(end, bytes)
        if len(inner) == 1 and not isinstance(inner[0], bytes):
            return begin, inner[0], end
        return begin, _joined(inner, count), end

    def surplus_of(self, count: int) -> Summed:
        """The surplus of so many values."""
        return Summed(count, self.surplus, self.surpluses)


def _merged(*pieces: _Piece) -> list[_Piece]:
    """Neighbours that all rows have in common are one."""
    merged: list[_Piece] = []
    for piece in pieces:
        if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _joined(pieces: Iterable[_Piece], count: int) -> list[bytes]:
    columns = [repeat(piece, count) if isinstance(piece, bytes) else piece for piece in pieces]
    return list(map(b"".join, zip(*columns, strict=True))) if columns else [b""] * count


@dataclass(slots=True)
class Chunk:
    """Some rows as columns."""

    columns: Sequence[Column]
    count: int
    _types: dict[int, frozenset[type]] = field(default_factory=dict)
    _integers: dict[int, Wires] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> Chunk:
        return cls(list(zip(*rows, strict=True)), len(rows))

    def types(self, place: int) -> frozenset[type]:
        """Those in a column."""
        types = self._types.get(place)
        if types is None:
            types = self._types[place] = frozenset(map(type, self.columns[place]))
        return types

    def integers(self, place: int) -> Wires:
        """A column of integers; a key and an attribute may share it."""
        wires = self._integers.get(place)
        if wires is None:
            wires = self._integers[place] = numbers(self.columns[place])
        return wires


class _Surpluses(dict[bytes, int]):
    """That of a number by its shape, in which a 1 stands for every digit but 0."""

    def __missing__(self, shape: bytes) -> int:
        if len(self) >= _SHAPES_MAX:
            self.clear()
        surplus = self[shape] = len(shape) - number_size(shape.decode())
        return surplus


_surplus_of = _Surpluses().__getitem__


class _NumberSurplus(NamedTuple):
    """Of a number in each row, or of those of so many columns, one column after another."""

    spelled: bytes
    between: bytes
    columns: int = 1

    def total(self) -> int:
        return sum(self._of_numbers())

    def each(self) -> Iterable[int]:
        if self.columns == 1:
            return self._of_numbers()
        counts = list(self._of_numbers())
        rows = len(counts) // self.columns
        return [sum(counts[row::rows]) for row in range(rows)]

    def _of_numbers(self) -> Iterable[int]:
        return map(_surplus_of, self.spelled.translate(_DIGITS).split(self.between))


def together(surpluses: Sequence[Counts]) -> list[Counts]:
    """The same, with one for all columns of numbers: a call for each of a hundred costs a twentieth of an item."""
    spelled, others = list[bytes](), list[Counts]()
    for each in surpluses:
        if isinstance(each, _NumberSurplus) and each.between == _BETWEEN:
            spelled.append(each.spelled)
        else:
            others.append(each)
    return [*others, _NumberSurplus(_BETWEEN.join(spelled), _BETWEEN, len(spelled))] if spelled else others


@dataclass(frozen=True, slots=True)
class _EscapeSurplus:
    """Of texts: what JSON adds to them, their two quotes included."""

    values: Sequence[bytes]
    column: Column

    def total(self) -> int:
        return sum(map(len, self.values)) - len("".join(self.column).encode())

    def each(self) -> Iterable[int]:
        return map(sub, map(len, self.values), map(len, map(str.encode, self.column)))


def texts(column: Column) -> Wires:
    dumped = _dumped(column)
    values = dumped.split(_BETWEEN)
    if b"\\" not in dumped:
        return Wires((OPENINGS["S"], values))
    return Wires((OPENINGS["S"], values), -len('""'), (_EscapeSurplus(values, column),))


def numbers(column: Column) -> Wires:
    """Integers and REALs. Raises RowRejected."""
    # What follows the last makes it like the others.
    dumped = (_dumped(column) + _BETWEEN).replace(b".0,", b",")
    if b"e" in dumped or b"n" in dumped or b"-0," in dumped:  # an exponent, no number at all, or zero with a minus
        return odd_numbers(column)
    return plain_numbers(dumped[: -len(_BETWEEN)], _BETWEEN)


def plain_numbers(spelled: bytes, between: bytes) -> Wires:
    """Numbers that are spelled as DynamoDB's are, with this between them."""
    return Wires((OPENINGS["N"] + b'"', spelled.split(between), b'"'), 0, (_NumberSurplus(spelled, between),))


def odd_numbers(column: Column) -> Wires:
    """Any numbers, each by itself. Raises RowRejected."""
    values, surplus = zip(*map(number, column), strict=True)
    return Wires((OPENINGS["N"], values), 0, (Listed(surplus),))


def booleans(column: Column) -> Wires:
    surplus = [_BOOLEAN_SURPLUS[value] for value in column]
    return Wires(([_BOOLEANS[value] for value in column],), 0, (Listed(surplus),))


def _binaries(column: Column) -> Wires:
    values, surplus = zip(*map(binary, column), strict=True)
    return Wires((OPENINGS["B"], values), 0, (Listed(surplus),))


def _dumped(column: Column) -> bytes:
    return orjson.dumps(column, option=orjson.OPT_INDENT_2)[len("[\n  ") : -len("\n]")]


#: By the types in a column
_FORMS: Mapping[frozenset[type], Callable[[Column], Wires]] = {
    TEXT: texts,
    INTEGER: numbers,
    frozenset((float,)): numbers,
    frozenset((int, float)): numbers,
    frozenset((bytes,)): _binaries,
}
#: By a hint: the type that it may make something else of
_HINTED: Mapping[str, type] = {"bool": int, "json": str, "number": str}


def values(column: Column, types: frozenset[type], hint: str = "") -> Wires:
    """A column of these types, NULL not among them."""
    if hint and _HINTED[hint] in types:
        if hint == "bool" and types == INTEGER and {0, 1}.issuperset(column):
            return booleans(column)
        raise Odd
    form = _FORMS.get(types)
    if form is None:
        raise Odd
    return form(column)
