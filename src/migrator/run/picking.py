"""Which rows of today's sources the dead letters of a run name, found by a walk over the keys alone.

A row is known by its source key. One of a source without a key is known by its values, as far as today's mapping still
reads them: too many rows rather than too few, since putting an item twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import groupby

from msgspec import Struct, field
from msgspec.structs import replace

from migrator.run.collisions import Loser, Losers
from migrator.run.deadletters import Letter
from migrator.run.opened import OpenRun
from migrator.run.rejects import source_key_from_json
from migrator.run.segment import Segment
from migrator.source.connection import connect
from migrator.source.read import Range, Read
from migrator.source.rows import Row, is_numbered, iter_rows, rest_after
from migrator.source.snapshot import check_unchanged
from migrator.source.text import SqliteValue, storage_class

_Values = tuple[SqliteValue, ...]
#: Values of two storage classes may be equal in Python.
_Classes = tuple[str, ...]


class Piece(Struct, frozen=True):
    """Rows of one segment that are to be done again."""

    segment: Segment
    losers: Mapping[int, Loser]  #: by the row's place among them
    letters: frozenset[Letter]  #: that name them


def iter_pieces(
    opened: OpenRun, letters: Iterable[Letter], losers: Losers | None, stopped: Callable[[], bool]
) -> Iterator[Piece]:
    """The rows that the letters name, and those that lose a key by now, which no letter may name yet.

    Raises SourceError.
    """
    sought = _by_source(letters)
    for unit, segments in groupby(opened.segments, lambda segment: segment.unit):
        named = sought.get((unit.name, unit.snapshot.path if unit.snapshot else unit.table.name), set())
        search = _search(unit.read, named) if unit.read else None
        for segment in segments:
            if stopped():
                return
            lost = losers.of_segment(unit.number, segment.number) if losers else {}
            if named or any(loser.reject for loser in lost.values()):
                piece = _pick_rows(segment, search, lost) if search else _pick_fixed(segment, named, lost)
                if piece is not None:
                    yield piece


def _by_source(letters: Iterable[Letter]) -> dict[tuple[str, str], set[Letter]]:
    sought: dict[tuple[str, str], set[Letter]] = {}
    for letter in letters:
        sought.setdefault((letter.entity, letter.place), set()).add(letter)
    return sought


def _pick_fixed(segment: Segment, letters: Set[Letter], lost: Mapping[int, Loser]) -> Piece | None:
    unit = segment.unit
    found = {n: letter for n in range(len(unit.fixed)) if (letter := Letter.of_fixed(unit, n)) in letters}
    if not found:
        return None
    picked = replace(unit, fixed=tuple(unit.fixed[n] for n in found))
    return Piece(replace(segment, unit=picked), _among(found, lost), frozenset(found.values()))


def _pick_rows(segment: Segment, search: _Search, lost: Mapping[int, Loser]) -> Piece | None:
    """Of the segment what lies between the first row that is named and the last, and where in it they all are."""
    previous: Row | None = None
    before: Row | None = None  # the first
    last: Row | None = None
    places: list[int] = []
    found: set[Letter] = set()
    for place, row in enumerate(_iter_rows(segment, search.read)):
        named = search.letters_of(row)
        if named or (place in lost and lost[place].reject):
            if not places:
                before = previous
            last = row
            places.append(place)
            found |= named
        previous = row
    if last is None:
        return None
    part = _between(search.read, segment.part, before, last)
    first = 0 if part == segment.part else places[0]
    picked = replace(segment, part=part, only=frozenset(place - first for place in places))
    return Piece(picked, _among(places, lost), frozenset(found))


def _between(read: Read, part: Range, before: Row | None, last: Row) -> Range:
    """What comes after the one row, as far as the other; the whole part where rows are only numbered."""
    if is_numbered(read.relation):
        return part
    low = rest_after(read.relation, part, before).low if before else part.low
    return Range(low, rest_after(read.relation, part, last).low)


def _among(places: Iterable[int], lost: Mapping[int, Loser]) -> dict[int, Loser]:
    """The losers by their place among these."""
    return {n: lost[place] for n, place in enumerate(places) if place in lost}


# ---- rows and their letters


class _Search(Struct, frozen=True):
    """Letters by the values that name a row, for each choice of columns that they were written with."""

    read: Read
    #: places of the columns among the row's values and key -> values -> their storage classes -> letters
    letters: dict[tuple[int, ...], dict[_Values, dict[_Classes, set[Letter]]]] = field(default_factory=dict)

    def add(self, letter: Letter, places: tuple[int, ...], values: _Values) -> None:
        same = self.letters.setdefault(places, {}).setdefault(values, {})
        same.setdefault(_classes(values), set()).add(letter)

    def letters_of(self, row: Row) -> set[Letter]:
        found: set[Letter] = set()
        all_values = row.values + row.key
        for places, letters in self.letters.items():
            values = tuple([all_values[place] for place in places])
            if values in letters:
                found |= letters[values].get(_classes(values), set())
        return found


def _search(read: Read, letters: Set[Letter]) -> _Search:
    keys = {letter: source_key_from_json(json.loads(letter.name)) for letter in letters}
    by_key = all(tuple(key) == read.relation.key for key in keys.values())
    if is_numbered(read.relation):
        # The numbers of the rows depend on the text of the query.
        search = _Search(replace(read, children=()))
    else:
        search = _Search(Read(read.relation, () if by_key else read.columns, read.where))
    places = {column: place for place, column in enumerate((*search.read.columns, *read.relation.key))}
    for letter, key in keys.items():
        known = {places[column]: value for column, value in key.items() if column in places}
        search.add(letter, tuple(known), tuple(known.values()))
    return search


def _classes(values: _Values) -> _Classes:
    return tuple(map(storage_class, values))


def _iter_rows(segment: Segment, read: Read) -> Iterator[Row]:
    """The segment's rows, in the places that they have in a run."""
    snapshot = segment.unit.snapshot
    assert snapshot is not None
    with connect(snapshot) as connection:
        yield from iter_rows(connection, read, segment.part)
    check_unchanged(snapshot)
