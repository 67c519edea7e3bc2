"""SQLite values as JSON and on a terminal: short, and never mistaken for one another."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from migrator.source.text import InvalidText, SqliteValue

TEXT_CHARACTERS = 80
BLOB_BYTES = 32
_NAME_WIDTH = 64


def to_json_value(value: SqliteValue) -> Any:
    """JSON has neither BLOBs nor infinities, and a report no room for long ones.

    >>> to_json_value(b"\\x00\\xff"), to_json_value(float("-inf")), to_json_value("x" * 81)["characters"]
    ({'hex': '00ff', 'bytes': 2}, '-Infinity', 81)
    """
    match value:
        case InvalidText():
            return {"hex": value[:BLOB_BYTES].hex(), "bytes": len(value), "invalid_utf8": True}
        case bytes():
            return {"hex": value[:BLOB_BYTES].hex(), "bytes": len(value)}
        case str() if len(value) > TEXT_CHARACTERS:
            return {"text": value[:TEXT_CHARACTERS], "characters": len(value)}
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case _:
            return value


def to_shown(value: SqliteValue, width: int) -> str:
    """A value in a cell: text in quotes, BLOBs as SQL writes them, numbers always whole.

    >>> to_shown("a\\nb", 20), to_shown(b"\\x01", 20), to_shown("abcdefgh", 6)
    ('"a\\\\nb"', "x'01'", '"abc…"')
    """
    match value:
        case None:
            return ""
        case bytes():
            text, quotes = value[:width].hex(), ("x'", "'")
        case str():
            text, quotes = printable(value[:width]), ('"', '"')
        case _:
            return str(value)
    return quotes[0] + cut(text, width - len(quotes[0]) - 1) + quotes[1]


def printable(text: str) -> str:
    """Control characters would move the cursor or hide what follows.

    >>> printable("a\\x1b[2Jb\\x00")
    'a\\\\x1b[2Jb\\\\x00'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, width: int) -> str:
    """
    >>> cut("abcdef", 4), cut("abcd", 4), cut("日本語", 5)
    ('abc…', 'abcd', '日本…')
    """
    if width_of(text) <= width:
        return text
    taken, used = "", 0
    for character in text:
        used += width_of(character)
        if used > width - 1:
            break
        taken += character
    return taken + "…"


def width_of(text: str) -> int:
    """Cells on a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def named(name: str, width: int = _NAME_WIDTH) -> str:
    """A name as it is, or in quotes where it would not be seen or could not be told from the rest."""
    shown = cut(printable(name), width)
    return f'"{shown}"' if not name or name != name.strip() or any(c in name for c in ',()"') else shown


def names_of(names: Sequence[str]) -> str:
    return ", ".join(map(named, names))


def count_of(number: int, word: str, plural_end: str = "s") -> str:
    """
    >>> count_of(1, "row"), count_of(1200, "table"), count_of(2, "index", "es")
    ('1 row', '1,200 tables', '2 indexes')
    """
    return f"{number:,} {word}{'' if number == 1 else plural_end}"
