"""Attribute values as DynamoDB sees them: how large they are and when two are equal.

Numbers are equal by value, sets whatever their order. It works alike on items that were rendered and on items
that boto3's low-level client read: `verify` compares the two, and collisions go by what DynamoDB calls one key.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import repeat
from typing import Any

import orjson

from migrator.mapping.decimals import is_normal, normal_number
from migrator.mapping.model import Attributes, AttributeValue, TableDefinition

DIGEST_BYTES = 16


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

    Binary values may be bytes, as in boto3, or base64, as on the wire.

    >>> digest({"a": {"N": "1.0"}}) == digest({"a": {"N": "1"}}), digest({"a": {"S": "1"}}) == digest({"a": {"N": "1"}})
    (True, False)
    """
    return wire_digest(_sorted_json(_canonical_map(attributes)))


def wire_digest(wire: bytes) -> bytes:
    """The digest of an item that stands on the wire as `digest` spells it: attributes by name, numbers normal."""
    return blake2b(wire, digest_size=DIGEST_BYTES).digest()


def split_joined(joined: bytes, width: int = DIGEST_BYTES) -> Sequence[bytes]:
    """Digests that stand one after the other, or anything else of a fixed width.

    >>> split_joined(b"aabb", 2)
    (b'aa', b'bb')
    """
    return struct.unpack(f"{width}s" * (len(joined) // width), joined)


def canonical_bytes(value: AttributeValue) -> bytes:
    """A value so that equal ones, and no others, give equal bytes."""
    return _sorted_json(_canonical(value))


def _sorted_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # half of a surrogate pair, which json escapes and orjson never writes
        return json.dumps(value, sort_keys=True).encode()


def _canonical_map(attributes: Attributes) -> Attributes:
    """The map itself where nothing in it has another spelling, as nearly always."""
    respelled: Attributes = {}
    for name, value in attributes.items():
        if "S" in value or ("N" in value and is_normal(value["N"])):
            continue
        for kind, content in value.items():
            if kind in _SPELLED:
                respelled[name] = {kind: _SPELLED[kind](content)}
    return attributes | respelled if respelled else attributes


def _canonical(value: AttributeValue) -> AttributeValue:
    ((kind, content),) = value.items()
    spelled = _SPELLED.get(kind)
    return value if spelled is None else {kind: spelled(content)}


def _base64(content: bytes | str) -> str:
    return content if isinstance(content, str) else base64.b64encode(content).decode("ascii")


#: What has more than one spelling
_SPELLED: Mapping[str, Callable[[Any], Any]] = {
    "N": normal_number,
    "B": _base64,
    "L": lambda values: [_canonical(value) for value in values],
    "M": _canonical_map,
    "SS": lambda members: sorted(set(members)),
    "NS": lambda members: sorted(set(map(normal_number, members))),
    "BS": lambda members: sorted(set(map(_base64, members))),
}


# ---- keys


def key_text(attributes: Attributes, table: TableDefinition) -> str:
    """The table's key as text: equal for what DynamoDB calls one key, and for nothing else.

    `attributes` may be the whole item. The text is ASCII, whatever the key holds.
    """
    key = [_key_part(attributes[table.partition_key.name])]
    if table.sort_key:
        key.append(_key_part(attributes[table.sort_key.name]))
    return _joined_key(key)


def key_texts(identities: Sequence[Any], table: TableDefinition) -> list[str]:
    """Those of many items, by what their keys compare by (`encoded.identity`).

    >>> from migrator.mapping.model import KeyAttribute
    >>> table = TableDefinition("orders", KeyAttribute("PK"), KeyAttribute("SK", "N"))
    >>> key_texts([("a", Decimal("1.0"))], table), key_texts([], table)
    (['[["S","a"],["N","1"]]'], [])
    """
    if not identities:
        return []
    columns = zip(*identities, strict=True) if table.sort_key else (identities,)
    parts = [
        zip(repeat(key.type), map(_FROM_IDENTITY[key.type], column))
        for key, column in zip(table.key_attributes, columns, strict=True)
    ]
    return list(map(_joined_key, zip(*parts, strict=True)))


def _joined_key(key: Sequence[Sequence[str]]) -> str:
    quick = _sorted_json(key)
    return quick.decode() if quick.isascii() else json.dumps(key, separators=(",", ":"))


def key_from_text(text: str, table: TableDefinition) -> Attributes:
    """The key that `key_text` wrote."""
    parts = zip(table.key_attributes, json.loads(text), strict=True)
    return {attribute.name: {kind: _FROM_TEXT[kind](content)} for attribute, (kind, content) in parts}


def describe_key(key: Attributes, table: TableDefinition) -> str:
    """For a person: `PK "USER#1", SK "PROFILE"`. Parts that are missing are left out."""
    names = [attribute.name for attribute in table.key_attributes if attribute.name in key]
    return ", ".join(f"{name} {_describe(key[name])}" for name in names)


def _key_part(value: AttributeValue) -> list[str]:
    for kind, content in value.items():
        return [kind, content if kind == "S" else _TO_TEXT[kind](content)]
    raise ValueError("an attribute value without a type")


def _describe(value: AttributeValue) -> str:
    ((kind, content),) = value.items()
    return _DESCRIPTIONS.get(kind, str)(content)


_TO_TEXT: Mapping[str, Callable[[Any], str]] = {
    "N": normal_number,
    "B": _base64,
}
_FROM_IDENTITY: Mapping[str, Callable[[Any], str]] = {
    "S": str,
    "N": lambda number: normal_number(str(number)),
    "B": _base64,
}
_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {"S": str, "N": str, "B": base64.b64decode}
_DESCRIPTIONS: Mapping[str, Callable[[Any], str]] = {
    "S": lambda text: json.dumps(text, ensure_ascii=False),
    "N": normal_number,
    "B": lambda content: f"x'{bytes(content).hex()}'",
}
