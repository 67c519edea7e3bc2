"""JSON documents of a column at once: what stands at one place in all of them is a column too.

Documents of one table are mostly of one shape, or of few. Others are taken one by one, which costs three times as much.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import chain
from operator import itemgetter
from typing import NoReturn

import orjson

from migrator.limits import NESTING_LEVELS
from migrator.mapping.column_members import EMPTY_LISTS, NULL_WIRE, Named, lists, merged
from migrator.mapping.column_numbers import numbers, odd_numbers, plain_numbers
from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.columns import booleans, texts
from migrator.mapping.counts import Listed
from migrator.mapping.jsontext import parse_json
from migrator.mapping.wirevalues import (
    NAME_CHARACTERS_MAX,
    OPENINGS,
    TRUE_SURPLUS,
    Odd,
    any_value,
    escapes,
)

#: Shapes at one place: with more of them columns grow too short to be worth it.
_SHAPES_MAX = 12
#: A number of so many characters is spelled without an E.
_PLAIN_CHARACTERS = 20


def documents(column: Column, name: str, depth: int) -> Wires:
    """Texts of objects and arrays for the attribute `name`, in which `depth` maps and lists are around them.

    Raises Odd, or RowRejected, where one is anything else.
    """
    try:
        return _Alike().all_of(column, depth)
    except (Odd, ValueError, RecursionError, orjson.JSONEncodeError):
        return _one_by_one(column, name, depth)


def _one_by_one(column: Column, name: str, depth: int) -> Wires:
    if not all(text.startswith(("{", "[")) for text in column):
        raise Odd  # text with another meaning, or with a blank before it
    kinds, values, surplus = zip(*[any_value(parse_json(text), "", name, depth) for text in column], strict=True)
    whole = [OPENINGS[kind] + value for kind, value in zip(kinds, values, strict=True)]
    surpluses = [more + escapes(value) for more, value in zip(surplus, values, strict=True)]
    return Wires((whole,), 0, (Listed(surpluses),))


class _Real(str):
    """A number with a fraction or an exponent, as it is spelled."""

    __slots__ = ()


def _refuse_constant(_: str) -> NoReturn:
    raise Odd


_DECODER = json.JSONDecoder(parse_float=_Real, parse_constant=_refuse_constant)


def _parsed(column: Column, *, exactly: bool) -> Column:
    """orjson is faster, and rounds what it takes for a REAL: such a one is odd."""
    if not exactly:
        return list(map(orjson.loads, column))
    parsed, ends = zip(*map(_DECODER.raw_decode, column), strict=True)
    if list(ends) != list(map(len, column)):
        raise Odd
    return parsed


class _Alike:
    """Documents by their shapes. It counts the texts in them, so that no name was given twice unnoticed."""

    def __init__(self) -> None:
        self._texts = 0

    def all_of(self, column: Column, depth: int) -> Wires:
        together = "".join(column)
        parsed = _parsed(column, exactly="." in together)
        if not {dict, list}.issuperset(map(type, parsed)):
            raise Odd
        wires = self._wires(parsed, depth)
        # The parser keeps the last of two equal names; then there are more quotes than names and texts need.
        if 2 * self._texts != _quotes(together):
            raise Odd
        return wires

    def _wires(self, column: Column, depth: int) -> Wires:
        kinds = set(map(type, column))
        if len(kinds) > 1:
            return merged(column, list(map(type, column)), lambda own: self._wires(own, depth))
        form = _FORMS.get(kinds.pop())
        if form is None:
            raise Odd
        return form(self, column, depth)

    def texts(self, column: Column, _: int) -> Wires:
        self._texts += len(column)
        return texts(column)

    def maps(self, column: Column, depth: int) -> Wires:
        if depth >= NESTING_LEVELS:
            raise Odd
        names = tuple(column[0])
        columns = _columns(column, names)
        if columns is None:
            shapes = list(map(tuple, column))
            if len(set(shapes)) > _SHAPES_MAX:
                raise Odd
            return merged(column, shapes, lambda own: self.maps(own, depth))
        named = Named(len(column), nested=True)
        for name, values in zip(names, columns, strict=True):
            if not 0 < len(name) <= NAME_CHARACTERS_MAX or escapes(orjson.dumps(name)):
                raise Odd
            named.add(name, self._wires(values, depth + 1))
        self._texts += len(names) * len(column)
        return named.maps()

    def lists(self, column: Column, depth: int) -> Wires:
        if depth >= NESTING_LEVELS:
            raise Odd
        members = list(chain.from_iterable(column))
        if not members:
            return EMPTY_LISTS
        return lists(list(map(len, column)), self._wires(members, depth + 1))


def _columns(maps: Column, names: tuple[str, ...]) -> list[Column] | None:
    """What they hold under each name, if all have these names and no other."""
    if {len(names)} != set(map(len, maps)):
        return None
    try:
        return [list(map(itemgetter(name), maps)) for name in names]
    except KeyError:
        return None


def _reals(column: Column) -> Wires:
    spelled = ",".join(column)
    if "e" in spelled or "E" in spelled or max(map(len, column)) > _PLAIN_CHARACTERS or not all(map(float, column)):
        return odd_numbers(column)
    return plain_numbers(spelled)


#: By the type that all values at a place have
_FORMS: Mapping[type, Callable[[_Alike, Column, int], Wires]] = {
    str: _Alike.texts,
    int: lambda _, column, depth: numbers(column),
    _Real: lambda _, column, depth: _reals(column),
    bool: lambda _, column, depth: booleans(column),
    type(None): lambda _, column, depth: Wires((NULL_WIRE,), TRUE_SURPLUS),
    dict: _Alike.maps,
    list: _Alike.lists,
}


def _quotes(text: str) -> int:
    """How many quotes begin or end a text in it."""
    if "\\" not in text:
        return text.count('"')
    text = text.replace("\\\\", "")
    return text.count('"') - text.count('\\"')
