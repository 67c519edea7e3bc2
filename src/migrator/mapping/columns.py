"""Rows as columns, and the columns as they go on the wire: loops in C instead of a Python instruction for each value.

Only what is ordinary in a whole column is known here; anything else raises Odd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from operator import add, sub
from typing import Any

import orjson

from migrator.limits import ITEM_SIZE_BYTES, WRITE_UNIT_BYTES
from migrator.mapping.canonical import number_size
from migrator.mapping.encoded import EncodedItem
from migrator.mapping.model import IndexDefinition
from migrator.mapping.wirevalues import (
    ATTRIBUTE_SURPLUS,
    EMPTY_SURPLUS,
    ENTRY_SURPLUS,
    FALSE_SURPLUS,
    FILLED_SURPLUS,
    MEMBER_SURPLUS,
    OPENINGS,
    TRUE_SURPLUS,
    Odd,
    WireValue,
    binary,
    escapes,
    number,
)

Column = Sequence[Any]

_SHAPES_MAX = 4096
# Where it indents, orjson writes this between the members of a list. JSON escapes a line's end, so no member holds it.
_BETWEEN = b",\n  "
_DIGITS = bytes.maketrans(b"23456789", b"1" * 8)
_BOOLEANS = tuple(OPENINGS["BOOL"] + value for value in (b"false", b"true"))
_BOOLEAN_SURPLUS = (FALSE_SURPLUS, TRUE_SURPLUS)
_NULL = OPENINGS["NULL"] + b"true"


@dataclass(frozen=True, slots=True)
class Wires:
    """Values without what stands before and behind them in all rows, and the surplus of each, if there is any."""

    values: Sequence[bytes]
    surplus: Iterable[int] | None = None
    opening: bytes = OPENINGS["S"]
    closing: bytes = b""


class _Surpluses(dict[bytes, int]):
    """That of a number by its shape, in which a 1 stands for every digit but 0."""

    def __missing__(self, shape: bytes) -> int:
        if len(self) >= _SHAPES_MAX:
            self.clear()
        surplus = self[shape] = len(shape) - number_size(shape.decode())
        return surplus


_surplus_of = _Surpluses().__getitem__


def texts(column: Column) -> Wires:
    dumped = _dumped(column)
    values = dumped.split(_BETWEEN)
    if b"\\" not in dumped:
        return Wires(values)
    counted = map(len, column) if "".join(column).isascii() else map(len, map(str.encode, column))
    return Wires(values, map(sub, map(len, values), map(add, counted, repeat(len('""')))))


def numbers(column: Column) -> Wires:
    """Integers and REALs. Raises RowRejected."""
    # What follows the last makes it like the others.
    dumped = (_dumped(column) + _BETWEEN).replace(b".0,", b",")
    if b"e" in dumped or b"n" in dumped or b"-0," in dumped:  # an exponent, no number at all, or zero with a minus
        spelled, surplus = zip(*map(number, column), strict=True)
        return Wires(spelled, surplus, OPENINGS["N"])
    dumped = dumped[: -len(_BETWEEN)]
    counted = list(map(_surplus_of, dumped.translate(_DIGITS).split(_BETWEEN)))
    return Wires(dumped.split(_BETWEEN), counted, OPENINGS["N"] + b'"', b'"')


def _binaries(column: Column) -> Wires:
    values, surplus = zip(*map(binary, column), strict=True)
    return Wires(values, surplus, OPENINGS["B"])


def _booleans(column: Column) -> Wires:
    if not {0, 1}.issuperset(column):
        raise Odd
    return Wires([_BOOLEANS[value] for value in column], [_BOOLEAN_SURPLUS[value] for value in column], b"")


def _dumped(column: Column) -> bytes:
    return orjson.dumps(column, option=orjson.OPT_INDENT_2)[len("[\n  ") : -len("\n]")]


#: By the types in a column
_FORMS: Mapping[frozenset[type], Callable[[Column], Wires]] = {
    frozenset((str,)): texts,
    frozenset((int,)): numbers,
    frozenset((float,)): numbers,
    frozenset((int, float)): numbers,
    frozenset((bytes,)): _binaries,
}
#: By a hint: the type that it may make something else of
_HINTED: Mapping[str, type] = {"bool": int, "json": str, "number": str}


def values(column: Column, types: frozenset[type], hint: str) -> Wires:
    """A column of these types, NULL not among them."""
    if hint and _HINTED[hint] in types:
        if hint == "bool" and len(types) == 1:
            return _booleans(column)
        raise Odd
    form = _FORMS.get(types)
    if form is None:
        raise Odd
    return form(column)


def documents(column: Column, convert: Callable[[Any], WireValue]) -> Wires:
    """Values of any type, each by itself."""
    kinds, wires, surplus = zip(*map(convert, column), strict=True)
    counted = [own + escapes(wire) for own, wire in zip(surplus, wires, strict=True)]
    return Wires(list(map(add, map(OPENINGS.__getitem__, kinds), wires)), counted, b"")


def lists(counts: Sequence[int], members: Wires | None) -> Wires:
    """So many of the members for each list in turn; None where all lists are empty."""
    if members is None:
        return Wires([b"[]"] * len(counts), [EMPTY_SURPLUS] * len(counts), OPENINGS["L"])
    opening, closing = members.opening, members.closing + b"}"
    values = iter([opening + value + closing for value in members.values])
    surplus = map(add, members.surplus or repeat(0), repeat(MEMBER_SURPLUS))
    return Wires(
        [b"[%b]" % b",".join(islice(values, count)) for count in counts],
        [FILLED_SURPLUS + sum(islice(surplus, count)) if count else EMPTY_SURPLUS for count in counts],
        OPENINGS["L"],
    )


@dataclass(slots=True)
class Chunk:
    """The items of some rows in the making: attribute by attribute, of all rows at once."""

    columns: Sequence[Column]
    types: Sequence[frozenset[type]]  #: in each column
    count: int
    surplus_of_one: int = ATTRIBUTE_SURPLUS  #: of an attribute; in a map of an entry
    _parts: list[bytes | Iterable[bytes]] = field(default_factory=list)
    _surpluses: list[Iterable[int]] = field(default_factory=list)
    _surplus: int = len("{}}") - len("},")
    _integers: dict[int, Wires] = field(default_factory=dict)
    _present: dict[str, list[bool]] = field(default_factory=dict)  #: of attributes that some items lack

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> Chunk:
        columns = list(zip(*rows, strict=True))
        return cls(columns, [frozenset(map(type, column)) for column in columns], len(rows))

    def add(self, name: str, wires: Wires) -> None:
        """An attribute that each item has."""
        self._parts += (self._before(name) + wires.opening, wires.values, wires.closing)
        self._count(wires.surplus)

    def integers(self, place: int) -> Wires:
        """A column of integers; a key and an attribute may share it."""
        wires = self._integers.get(place)
        if wires is None:
            wires = self._integers[place] = numbers(self.columns[place])
        return wires

    def add_text(self, name: str, pieces: Sequence[bytes | Sequence[bytes]], surplus: int) -> None:
        """Text in each item, of pieces without quotes."""
        self._parts += (self._before(name) + OPENINGS["S"] + b'"', *pieces, b'"')
        self._surplus += self.surplus_of_one + surplus

    def add_constant(self, name: str, wire: bytes, surplus: int) -> None:
        """The same value in each item, with its type."""
        self._parts.append(self._before(name) + wire)
        self._surplus += self.surplus_of_one + surplus

    def add_sparse(self, name: str, column: Column, form: Callable[[Column], Wires], *, keep: bool = False) -> None:
        """An attribute that stands for NULL, or is absent, where the column has None."""
        given = [value for value in column if value is not None]
        if not self._parts:
            raise Odd  # what comes first here need not come first in every item
        before = self._before(name)
        wires = form(given) if given else Wires(())
        heads, surplus = iter(wires.values), iter(wires.surplus or repeat(0))
        opening, closing = before + wires.opening, wires.closing
        absent, less = (before + _NULL, TRUE_SURPLUS) if keep else (b"", -self.surplus_of_one)
        self._parts.append([absent if v is None else opening + next(heads) + closing for v in column])
        self._count([less if v is None else next(surplus) for v in column])
        if not keep:
            self._present[name] = [v is not None for v in column]

    def inner(self) -> Chunk:
        """The entries of a map of the same rows."""
        return Chunk(self.columns, self.types, self.count, ENTRY_SURPLUS, _surplus=FILLED_SURPLUS)

    def as_maps(self) -> Wires:
        """What was added, as a map of each row."""
        surplus: Iterable[int] = repeat(self._surplus, self.count)
        for each in self._surpluses:
            surplus = map(add, surplus, each)
        return Wires(self._joined(), list(surplus), OPENINGS["M"])

    def items(self, identities: Iterable[Any], indexes: Sequence[IndexDefinition]) -> list[EncodedItem]:
        """`indexes` are those that an item enters unless it lacks a key."""
        wires = self._joined()
        sizes: Iterable[int] = map(len, wires)
        for surplus in self._surpluses:
            sizes = map(sub, sizes, surplus)
        exact = list(map(sub, sizes, repeat(self._surplus)))
        known = zip(wires, identities, exact, self._units(indexes, exact), strict=False)
        # The constructor of a NamedTuple is a Python function, and twice as slow.
        return list(map(tuple.__new__, repeat(EncodedItem), known))

    def _before(self, name: str) -> bytes:
        return (b"}," if self._parts else b"{") + orjson.dumps(name) + b":"

    def _count(self, surplus: Iterable[int] | None) -> None:
        self._surplus += self.surplus_of_one
        if surplus is not None:
            self._surpluses.append(surplus)

    def _joined(self) -> list[bytes]:
        """Each item's bytes; neighbours that are the same in all of them are one constant."""
        merged: list[bytes | Iterable[bytes]] = []
        for part in (*self._parts, b"}}"):
            if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
                merged[-1] += part
            else:
                merged.append(part)
        pieces = (repeat(part, self.count) if isinstance(part, bytes) else part for part in merged)
        return list(map(b"".join, zip(*pieces, strict=True)))

    def _units(self, indexes: Sequence[IndexDefinition], sizes: list[int]) -> Iterator[int]:
        """One per started KB, for the table and for each index that the item is in."""
        largest = max(sizes)
        is_large = largest > WRITE_UNIT_BYTES
        if largest > ITEM_SIZE_BYTES or (is_large and any(index.projection != "ALL" for index in indexes)):
            raise Odd
        places: Iterator[int] = repeat(1)
        for index in indexes:
            present = [self._present[key.name] for key in index.key_attributes if key.name in self._present]
            places = map(add, places, map(all, zip(*present, strict=True)) if present else repeat(1))
        if not is_large:
            return places
        return (n * -(-size // WRITE_UNIT_BYTES) for n, size in zip(places, sizes, strict=False))
