"""What the filters for lists, maps and sets do to one value. NULL never comes in here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from migrator.errors import RowRejected
from migrator.mapping.decimals import normal_number, number_text
from migrator.mapping.jsontext import parse_json
from migrator.mapping.values import JSON_NULL, FilteredValue, TypedSet, to_text
from migrator.source.text import InvalidText


def json(value: FilteredValue) -> FilteredValue:
    """JSON text, also in a BLOB, as what it says: list, map, text, number, boolean or null. Others as they are."""
    if isinstance(value, bytes) and not isinstance(value, InvalidText):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise RowRejected("invalid_json", f"a BLOB of {len(value)} bytes is not JSON text") from error
    if not isinstance(value, str | InvalidText):
        return value
    parsed = parse_json(to_text(value))
    return JSON_NULL if parsed is None else parsed


def get(value: FilteredValue, path: str | int) -> FilteredValue:
    """What stands at `path` of a map or list, or of JSON text; NULL where nothing does.

    >>> get('{"a": {"b": [1, 2]}}', "a.b.1")
    2
    """
    found: Any = json(value)
    for step in str(path).split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and re.fullmatch("[0-9]{1,9}", step) and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return JSON_NULL if found is None else found


def to_list(value: FilteredValue) -> list[Any]:
    """A JSON array as a list; a set as a list; anything else as a list of one.

    >>> to_list('["a", "b"]'), to_list("a")
    (['a', 'b'], ['a'])
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parse_json(value)
        except RowRejected as error:
            if error.code != "invalid_json":
                raise
    if isinstance(value, TypedSet):
        return list(value.members)
    return value if isinstance(value, list) else [value]


_MEMBER_KINDS: Mapping[type, str] = {str: "SS", int: "NS", float: "NS", Decimal: "NS", bytes: "BS"}


def to_set(value: FilteredValue) -> FilteredValue:
    """A list (or JSON array, or a single value) as a set without duplicates; an empty one is left out.

    >>> to_set(["a", "b", "a"])
    TypedSet(kind='SS', members=('a', 'b'))
    """
    members: dict[object, Any] = {}
    kinds = set()
    for member in to_list(value):
        if isinstance(member, InvalidText):
            to_text(member)
        kinds.add(_MEMBER_KINDS.get(type(member)))
        # Engines refuse 1 beside 1.0: numbers are told apart by value.
        is_number = isinstance(member, int | float | Decimal)
        members.setdefault(normal_number(number_text(member)) if is_number else _hashable(member), member)
    match sorted(kinds, key=str):
        case []:
            return None
        case ["SS" | "NS" | "BS" as kind]:
            return TypedSet(kind, tuple(members.values()))
        case _:
            raise RowRejected("set_mixed", "a set's members are all text, all numbers or all binary")


def _hashable(member: object) -> object:
    return member if isinstance(member, str | bytes | bool) else id(member)
