"""Rows as columns, and columns as they go on the wire: loops in C instead of a Python instruction for each value.

Only what is ordinary in a whole column is known here; anything else raises Odd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from itertools import repeat
from operator import sub
from typing import Any

import orjson
from msgspec import Struct, field

from migrator.mapping.column_numbers import numbers
from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.counts import Listed
from migrator.mapping.wirevalues import FALSE_SURPLUS, OPENINGS, TRUE_SURPLUS, Odd, binary

NULL = frozenset((type(None),))
INTEGER = frozenset((int,))
TEXT = frozenset((str,))
_NUMBERS = frozenset((int, float))

#: Where it indents, orjson writes this between the members of a list. JSON escapes a line's end, so no member holds it.
BETWEEN = b",\n  "
#: As an integer, which is looked for in a tenth of the time.
(BACKSLASH,) = b"\\"
# Longer texts are parted in half the time by looking for line ends alone.
_LONG_BYTES = 100
_BOOLEANS = tuple(OPENINGS["BOOL"] + value for value in (b"false", b"true"))
_BOOLEAN_SURPLUS = (FALSE_SURPLUS, TRUE_SURPLUS)


class Chunk(Struct):
    """Some rows as columns."""

    columns: Sequence[Column]
    count: int
    _types: dict[int, frozenset[type]] = field(default_factory=dict)
    _integers: dict[int, Wires] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> Chunk:
        return cls(list(zip(*rows, strict=True)), len(rows))

    def types(self, place: int) -> frozenset[type]:
        """Those in a column; where it begins with a REAL, integers count as being there, too."""
        types = self._types.get(place)
        if types is None:
            types = self._types[place] = _types(self.columns[place])
        return types

    def integers(self, place: int) -> Wires:
        """A column of integers; a key and an attribute may share it."""
        wires = self._integers.get(place)
        if wires is None:
            wires = self._integers[place] = numbers(self.columns[place])
        return wires


def _types(column: Column) -> frozenset[type]:
    """Texts alone can be joined, numbers alone summed: that takes a third of a look at each."""
    first = type(column[0])
    try:
        if first is str:
            "".join(column)
            return TEXT
        if first in _NUMBERS and type(sum(column)) is first:
            return INTEGER if first is int else _NUMBERS
    except TypeError:  # there are others among them
        pass
    return frozenset(map(type, column))


class _EscapeSurplus(Struct, frozen=True):
    """Of texts: what JSON adds to them, their two quotes included."""

    values: Sequence[bytes]
    values_bytes: int
    column: Column

    def total(self) -> int:
        return self.values_bytes - len("".join(self.column).encode())

    def each(self) -> Iterable[int]:
        return map(sub, map(len, self.values), map(len, map(str.encode, self.column)))


def texts(column: Column) -> Wires:
    dumped = dumped_texts(column)
    values = parted(dumped, len(column))
    if BACKSLASH not in dumped:
        return Wires((OPENINGS["S"], values))
    values_bytes = len(dumped) - (len(column) - 1) * len(BETWEEN)
    return Wires((OPENINGS["S"], values), -len('""'), (_EscapeSurplus(values, values_bytes, column),))


def dumped_texts(column: Column) -> bytes:
    """In JSON, and null for each None, with BETWEEN between them."""
    return orjson.dumps(column, option=orjson.OPT_INDENT_2)[len("[\n  ") : -len("\n]")]


def parted(dumped: bytes, count: int) -> list[bytes]:
    """So many members that have BETWEEN between them."""
    if len(dumped) > count * _LONG_BYTES:
        return list(map(bytes.strip, BytesIO(dumped).readlines(), repeat(BETWEEN)))
    return dumped.split(BETWEEN)


def booleans(column: Column) -> Wires:
    surplus = [_BOOLEAN_SURPLUS[value] for value in column]
    return Wires(([_BOOLEANS[value] for value in column],), 0, (Listed(surplus),))


def _binaries(column: Column) -> Wires:
    values, surplus = zip(*map(binary, column), strict=True)
    return Wires((OPENINGS["B"], values), 0, (Listed(surplus),))


#: By the types in a column
_FORMS: Mapping[frozenset[type], Callable[[Column], Wires]] = {
    TEXT: texts,
    INTEGER: numbers,
    frozenset((float,)): numbers,
    _NUMBERS: numbers,
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
