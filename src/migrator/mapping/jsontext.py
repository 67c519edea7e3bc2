"""JSON text as exact values.

Python's parser would round numbers through float, keep the last of two equal names in silence,
and take NaN; here numbers stay exact and what would lose data is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from migrator.errors import RowRejected
from migrator.mapping.decimals import shown

#: None inside of a list or map is JSON's null.
JsonValue = None | bool | int | Decimal | str | list[Any] | dict[str, Any]

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str) -> JsonValue:
    """Parse exactly. Raises RowRejected: invalid_json, duplicate_name, lone_surrogate, nesting_too_deep.

    >>> parse_json('{"price": 1.10, "n": [9007199254740993, null]}')
    {'price': Decimal('1.10'), 'n': [9007199254740993, None]}
    """
    try:
        value: JsonValue = _DECODER.decode(text)
    except (ValueError, InvalidOperation) as error:
        raise RowRejected("invalid_json", f"{shown(text)} is not JSON: {error}") from error
    except RecursionError as error:
        raise RowRejected("nesting_too_deep", "the JSON is nested deeper than any item can be") from error
    # Two escapes may be a pair, which decodes to one character; only what is left over is refused.
    if _SURROGATE_ESCAPE.search(text) and any(map(has_lone_surrogate, _iter_texts(value))):
        raise RowRejected("lone_surrogate", "the JSON holds half of a surrogate pair")
    return value


def has_lone_surrogate(text: str) -> bool:
    r"""
    >>> has_lone_surrogate("\ud83d"), has_lone_surrogate("😀")
    (True, False)
    """
    return any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowRejected("duplicate_name", f"the JSON gives the name {shown(twice)} twice")
    return named


def _iter_texts(value: JsonValue) -> Iterator[str]:
    pending: list[Any] = [value]
    while pending:
        match pending.pop():
            case str(text):
                yield text
            case list(members):
                pending.extend(members)
            case dict(members):
                yield from members
                pending.extend(members.values())


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_names)
