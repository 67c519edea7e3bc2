"""What a column's declared type says of how its values are meant. Only a hint: `mapping.values` goes by the value."""

from __future__ import annotations

from typing import Literal

Hint = Literal["", "bool", "json", "number"]

_HINTS: dict[str, Hint] = {
    "BOOLEAN": "bool",
    "BOOL": "bool",
    "JSON": "json",
    "DECIMAL": "number",
    "NUMERIC": "number",
}


def hint_of(declared_type: str) -> Hint:
    """How a declared type says its values are meant.

    >>> hint_of("decimal(10, 2)"), hint_of("BOOLEAN"), hint_of("VARCHAR(20)")
    ('number', 'bool', '')
    """
    return _HINTS.get(declared_type.partition("(")[0].strip().upper(), "")
