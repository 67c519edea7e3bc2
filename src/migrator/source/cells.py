"""A SQLite value as JSON that keeps its storage class; docs/dump.md describes it to those who read such files.

Plain JSON has one kind of number, which many readers take for a double, no binary and no text that is not UTF-8. So
every class but TEXT and NULL is named, and numbers stand in quotes. A class has one shape, whatever the value.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from migrator.source.text import InvalidText, SqliteValue

_INFINITE = {float("inf"): "Infinity", float("-inf"): "-Infinity"}


def _real(value: float) -> dict[str, str]:
    """The shortest text that reads back as the same double."""
    return {"real": _INFINITE.get(value) or repr(value)}


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_SHAPES: Mapping[type, Callable[[Any], Any]] = {
    type(None): lambda value: None,
    str: lambda value: value,
    int: lambda value: {"integer": str(value)},
    float: _real,
    bytes: lambda value: {"blob": _base64(value)},
    InvalidText: lambda value: {"invalid_text": _base64(value)},
}


def to_cell(value: SqliteValue) -> Any:
    """
    >>> [to_cell(each) for each in (1, 1.0, -0.0, "1", b"1", None, InvalidText(b"\\xff"))]
    [{'integer': '1'}, {'real': '1.0'}, {'real': '-0.0'}, '1', {'blob': 'MQ=='}, None, {'invalid_text': '/w=='}]
    """
    return _SHAPES[type(value)](value)
