"""Attribute values as DynamoDB sees them: how large they are and when two are equal.

Numbers are equal by value, sets whatever their order. It works alike on items that were rendered and on items
that boto3's low-level client read: `verify` compares the two, and collisions go by what DynamoDB calls one key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from migrator.mapping.decimals import normal_number
from migrator.mapping.model import Attributes, AttributeValue, TableDefinition

_DIGEST_BYTES = 16


# ---- size


def item_size(attributes: Attributes) -> int:
    """Bytes by DynamoDB's rules: names and values, in UTF-8.

    CapacityUnitCalculations in the developer guide; where it says "approximately", what dynalite found out.

    >>> item_size({"PK": {"S": "é"}, "n": {"N": "-12.50"}})
    9
    """
    return sum(_text_size(name) + value_size(value) for name, value in attributes.items())


def value_size(value: AttributeValue) -> int:
    ((kind, content),) = value.items()
    return _SIZES[kind](content)


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def number_size(text: str) -> int:
    """A byte, one for each pair of digits as they stand around the point, and one for a minus.

    >>> number_size("1200"), number_size("-12.50"), number_size("1E+3")
    (2, 4, 2)
    """
    whole, _, fraction = text.removeprefix("-").partition(".")
    if not (whole + fraction).isdecimal():  # spelled with an E, or not in our way
        return _any_number_size(Decimal(text))
    digits = whole.lstrip("0") + fraction
    leading = digits.lstrip("0")
    significant = len(leading.rstrip("0"))
    adjusted = len(digits) - len(fraction) - 1 - (len(digits) - len(leading))
    return _digits_size(significant, adjusted, text[0] == "-")


def _any_number_size(number: Decimal) -> int:
    sign, digits, _ = number.as_tuple()
    return _digits_size(len("".join(map(str, digits)).rstrip("0")), number.adjusted(), bool(sign))


def _digits_size(significant: int, adjusted: int, negative: bool) -> int:
    splits_a_pair = significant % 2 == 0 and adjusted % 2 == 0
    return 1 + (significant + 1) // 2 + splits_a_pair + negative if significant else 1


def _list_size(values: list[AttributeValue]) -> int:
    return 3 + sum(1 + value_size(value) for value in values)


def _map_size(values: Attributes) -> int:
    return 3 + len(values) + item_size(values)


_SIZES: Mapping[str, Callable[[Any], int]] = {
    "S": _text_size,
    "N": number_size,
    "B": len,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "L": _list_size,
    "M": _map_size,
    "SS": lambda members: sum(map(_text_size, members)),
    "NS": lambda members: sum(map(number_size, members)),
    "BS": lambda members: sum(map(len, members)),
}


# ---- equality


def digest(attributes: Attributes) -> bytes:
    """16 bytes, equal for items that DynamoDB holds to be equal and for no others.

    >>> digest({"a": {"N": "1.0"}}) == digest({"a": {"N": "1"}}), digest({"a": {"S": "1"}}) == digest({"a": {"N": "1"}})
    (True, False)
    """
    return hashlib.blake2b(canonical_bytes({"M": attributes}), digest_size=_DIGEST_BYTES).digest()


def canonical_bytes(value: AttributeValue) -> bytes:
    """A value so that equal ones give equal bytes. Each part is preceded by its length, so none runs into the next."""
    ((kind, content),) = value.items()
    return _part(kind.encode()) + _ENCODERS[kind](content)


def _part(content: bytes) -> bytes:
    return b"%d:" % len(content) + content


def _text_bytes(text: str) -> bytes:
    return _part(text.encode("utf-8", "surrogatepass"))


def _number_bytes(text: str) -> bytes:
    return _part(normal_number(text).encode())


def _binary_bytes(content: bytes) -> bytes:
    return _part(bytes(content))


def _parts(parts: Iterable[bytes]) -> bytes:
    encoded = list(parts)
    return b"%d," % len(encoded) + b"".join(encoded)


_ENCODERS: Mapping[str, Callable[[Any], bytes]] = {
    "S": _text_bytes,
    "N": _number_bytes,
    "B": _binary_bytes,
    "BOOL": lambda content: b"1" if content else b"0",
    "NULL": lambda _: b"",
    "L": lambda values: _parts(map(canonical_bytes, values)),
    "M": lambda values: _parts(_text_bytes(name) + canonical_bytes(values[name]) for name in sorted(values)),
    "SS": lambda members: _parts(sorted(set(map(_text_bytes, members)))),
    "NS": lambda members: _parts(sorted(set(map(_number_bytes, members)))),
    "BS": lambda members: _parts(sorted(set(map(_binary_bytes, members)))),
}


# ---- keys


def key_text(attributes: Attributes, table: TableDefinition) -> str:
    """The table's key as text: equal for what DynamoDB calls one key, and for nothing else.

    `attributes` may be the whole item. The text is ASCII, whatever the key holds.
    """
    key = [_key_part(attributes[attribute.name]) for attribute in table.key_attributes]
    return json.dumps(key, separators=(",", ":"))


def key_from_text(text: str, table: TableDefinition) -> Attributes:
    """The key that `key_text` wrote."""
    parts = zip(table.key_attributes, json.loads(text), strict=True)
    return {attribute.name: {kind: _FROM_TEXT[kind](content)} for attribute, (kind, content) in parts}


def describe_key(key: Attributes, table: TableDefinition) -> str:
    """For a person: `PK "USER#1", SK "PROFILE"`. Parts that are missing are left out."""
    names = [attribute.name for attribute in table.key_attributes if attribute.name in key]
    return ", ".join(f"{name} {_describe(key[name])}" for name in names)


def _key_part(value: AttributeValue) -> list[str]:
    ((kind, content),) = value.items()
    return [kind, _TO_TEXT[kind](content)]


def _describe(value: AttributeValue) -> str:
    ((kind, content),) = value.items()
    return _DESCRIPTIONS.get(kind, str)(content)


_TO_TEXT: Mapping[str, Callable[[Any], str]] = {
    "S": str,
    "N": normal_number,
    "B": lambda content: base64.b64encode(content).decode(),
}
_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {"S": str, "N": str, "B": base64.b64decode}
_DESCRIPTIONS: Mapping[str, Callable[[Any], str]] = {
    "S": lambda text: json.dumps(text, ensure_ascii=False),
    "N": normal_number,
    "B": lambda content: f"x'{bytes(content).hex()}'",
}
