"""What columns are put together to: attributes to items, entries to maps, members to lists, of all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, compress, repeat
from operator import add
from typing import Any

import orjson

from migrator.limits import ITEM_SIZE_BYTES, WRITE_UNIT_BYTES
from migrator.mapping.column_numbers import together
from migrator.mapping.column_sparse import Sparse, is_there
from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.counts import Counts, Grouped, Less, Listed, Mixed, Scattered, Summed
from migrator.mapping.encoded import EncodedItems
from migrator.mapping.model import IndexDefinition
from migrator.mapping.wirevalues import (
    ATTRIBUTE_SURPLUS,
    EMPTY_SURPLUS,
    ENTRY_SURPLUS,
    FILLED_SURPLUS,
    MEMBER_SURPLUS,
    OPENINGS,
    TRUE_SURPLUS,
    Odd,
)

NULL_WIRE = OPENINGS["NULL"] + b"true"
EMPTY_LISTS = Wires((OPENINGS["L"] + b"[]",), EMPTY_SURPLUS)


class Named:
    """Attributes, or the entries of a map, one after another."""

    def __init__(self, count: int, *, nested: bool = False, in_order: bool = False) -> None:
        self._count = count  #: of rows
        self._in_order = in_order  #: each stands where it was added, also where rows lack what comes first
        self._surplus_of_one = ENTRY_SURPLUS if nested else ATTRIBUTE_SURPLUS
        self._pieces: list[bytes | Sequence[bytes]] = []
        self._surplus = 0
        self._surpluses: list[Counts] = []
        self._sparse: dict[str, Column] = {}  #: of names that some rows lack
        self._later: list[Callable[[], None]] = []

    def add(self, name: str, wires: Wires) -> None:
        """One that each row has."""
        self._pieces += (self._before(name), *wires.pieces)
        self._surplus += self._surplus_of_one + wires.surplus
        self._surpluses += wires.surpluses

    def add_sparse(self, name: str, column: Column, write: Sparse, *, keep: bool = False) -> None:
        """One that stands for NULL, or is absent, where the column has None."""
        if not self._pieces and not self._in_order:
            # What comes first must come first in every row; DynamoDB knows no order.
            self._later.append(lambda: self.add_sparse(name, column, write, keep=keep))
            return
        before = self._before(name)
        absent, surplus = (before + NULL_WIRE, TRUE_SURPLUS) if keep else (b"", -self._surplus_of_one)
        pieces, of_given = write(column, before, absent)
        self._pieces.append(pieces)
        self._surplus += self._surplus_of_one
        self._surpluses.append(Scattered(column, of_given, surplus))
        if not keep:
            self._sparse[name] = column

    def _before(self, name: str) -> bytes:
        return _before(name, bool(self._pieces) or self._in_order)

    def maps(self) -> Wires:
        if self._later and not self._pieces:
            raise Odd
        for add_sparse in self._later:
            add_sparse()
        if not self._pieces:
            return Wires((OPENINGS["M"] + b"{}",), EMPTY_SURPLUS)
        pieces = (OPENINGS["M"], *self._pieces, b"}}")
        return Wires(pieces, FILLED_SURPLUS + self._surplus, tuple(self._surpluses))

    def encoded(self, identities: Iterable[Any], indexes: Sequence[IndexDefinition]) -> EncodedItems:
        """`indexes` are those that an item enters unless it lacks a key."""
        wires = Wires(tuple(self._pieces)).joined(self._count, after=b"}}")
        if self._in_order:
            wires = [b"{" + wire.removeprefix(b"},") for wire in wires]
        surplus = Summed(self._count, self._surplus + len("{}}") - len("},"), together(self._surpluses))
        lengths = list(map(len, wires))
        sizes = Less(lengths, surplus)
        places = self._places(indexes)
        # On the wire an item is longer than it counts.
        if max(lengths) <= WRITE_UNIT_BYTES:
            return EncodedItems(wires, lengths, list(identities), list(places), sizes)
        exact = list(sizes.each())
        largest = max(exact)
        is_large = largest > WRITE_UNIT_BYTES
        if largest > ITEM_SIZE_BYTES or (is_large and any(index.projection != "ALL" for index in indexes)):
            raise Odd
        units = [n * -(-size // WRITE_UNIT_BYTES) for n, size in zip(places, exact, strict=True)]
        return EncodedItems(wires, lengths, list(identities), units, Listed(exact))

    def _places(self, indexes: Sequence[IndexDefinition]) -> Iterable[int]:
        """In how many places each item stands: the table, and each index that it enters."""
        places: Iterable[int] = repeat(1, self._count)
        for index in indexes:
            present = [is_there(self._sparse[key.name]) for key in index.key_attributes if key.name in self._sparse]
            places = map(add, places, map(all, zip(*present, strict=True)) if present else repeat(1))
        return places


@lru_cache(maxsize=1_024)
def _before(name: str, follows: bool) -> bytes:
    """What stands before a value; `follows`: something stands before that."""
    return (b"}," if follows else b"{") + orjson.dumps(name) + b":"


def lists(counts: Sequence[int], members: Wires) -> Wires:
    """So many of the members for each list in turn."""
    ends = list(accumulate(counts))
    spans = list(map(slice, (0, *ends), ends))
    of_members = Summed(ends[-1], MEMBER_SURPLUS + members.surplus, members.surpluses)
    surplus = Grouped(counts, of_members, FILLED_SURPLUS, EMPTY_SURPLUS)
    begin, inner, end = members.parted(ends[-1])
    between = end + b"}," + begin
    joined = [between.join(inner[span]) for span in spans]
    begin, end = b"[" + begin, end + b"}]"
    if 0 in counts:
        joined = [begin + wire + end if count else b"[]" for count, wire in zip(counts, joined, strict=True)]
        begin = end = b""
    return Wires((OPENINGS["L"] + begin, joined, end), 0, (surplus,))


def merged(column: Column, kinds: Sequence[Hashable], form: Callable[[Column], Wires]) -> Wires:
    """A column of several kinds of values, each of which has a form of its own."""
    wires: dict[Hashable, Iterator[bytes]] = {}
    surpluses: dict[Hashable, Counts] = {}
    for kind in set(kinds):
        own = list(compress(column, [each == kind for each in kinds]))
        formed = form(own)
        wires[kind] = iter(formed.joined(len(own)))
        surpluses[kind] = formed.surplus_of(len(own))
    return Wires(([next(wires[kind]) for kind in kinds],), 0, (Mixed(kinds, surpluses),))
