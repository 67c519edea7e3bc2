"""What each filter of a mapping does to one value. `mapping.filters` names them and checks their arguments.

NULL never comes in here, except to `default`. A function refuses a value by RowRejected and never guesses:
what two readers could understand differently rejects the row.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

from migrator.errors import RowRejected
from migrator.mapping.decimals import normal_number, number_text, parse_number, shown
from migrator.mapping.jsontext import parse_json
from migrator.mapping.values import JSON_NULL, FilteredValue, JsonNull, TypedSet, to_attribute_value, to_text
from migrator.source.text import InvalidText

Argument = str | int | float


# ---- text


def lower(value: FilteredValue) -> str:
    return to_text(value).lower()


def upper(value: FilteredValue) -> str:
    return to_text(value).upper()


def trim(value: FilteredValue) -> str:
    """Without white space at both ends, line ends and Unicode's spaces included (SQLite's trim knows only blanks)."""
    return to_text(value).strip()


def pad(value: FilteredValue, width: int) -> str:
    """Zeros in front up to `width`, so that text sorts as the numbers do.

    What would sort wrongly is rejected: a negative number, more digits than `width`, anything but digits.

    >>> pad(42, 5)
    '00042'
    """
    integral = isinstance(value, float) and value.is_integer()
    digits = number_text(value) if isinstance(value, float) and integral else to_text(value)
    if re.fullmatch(r"-[0-9]+", digits):
        raise RowRejected("pad_negative", f"{digits} is negative: zeros in front would sort it wrongly")
    if not (digits.isascii() and digits.isdecimal()):
        raise RowRejected("pad_not_digits", f"{shown(digits)} is not an integer")
    if len(digits) > width:
        raise RowRejected("pad_too_long", f"{shown(digits)} has more than {width} digits and would sort wrongly")
    return digits.zfill(width)


def prefix(value: FilteredValue, head: Argument) -> str:
    """With `head` in front, unless it is there.

    >>> prefix("USER#7", "USER#"), prefix(7, "USER#")
    ('USER#7', 'USER#7')
    """
    text, head = to_text(value), str(head)
    return text if text.startswith(head) else head + text


def split(value: FilteredValue, separator: str) -> list[Any]:
    """The pieces between separators, blanks kept. Empty text has none.

    >>> split("a,b", ","), split("", ",")
    (['a', 'b'], [])
    """
    text = to_text(value)
    return list(text.split(separator)) if text else []


# ---- numbers and booleans


def number(value: FilteredValue) -> FilteredValue:
    """Decimal text as an exact number; blanks around it are ignored. A boolean is 1 or 0."""
    match value:
        case str():
            exact = parse_number(value.strip())
        case bool():
            return int(value)
        case int() | float() | Decimal():
            return value
        case InvalidText():
            to_text(value)
            return None
        case _:
            raise RowRejected("not_a_number", f"{shown(value)} is not a number")
    number_text(exact)
    return exact


_BOOLEANS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "0.0", "-0.0", "false", "f", "no", "n", "off"), False),
}


def boolean(value: FilteredValue) -> bool:
    """0 and 1, and true/false, yes/no, t/f, y/n, on/off in any case; nothing else.

    >>> boolean("Yes"), boolean(0)
    (True, False)
    """
    if isinstance(value, str | int | float | Decimal | InvalidText):
        known = _BOOLEANS.get(to_text(value).strip().lower())
        if known is not None:
            return known
    raise RowRejected("not_a_boolean", f"{shown(value)} is neither true nor false")


# ---- lists, maps and sets


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


def get(value: FilteredValue, path: Argument) -> FilteredValue:
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


# ---- binary


def binary(value: FilteredValue) -> bytes:
    """Text as the bytes it is stored in, UTF-8 or not; a BLOB as it is."""
    match value:
        case str():
            return _utf8(value)
        case bytes():
            return bytes(value)
        case _:
            raise RowRejected("not_binary", f"{shown(value)} is neither text nor a BLOB")


def base64_(value: FilteredValue) -> str | bytes:
    """Text in base64 (padded, white space ignored) to binary; a BLOB to base64.

    >>> base64_("AP8="), base64_(b"\\x00\\xff")
    (b'\\x00\\xff', 'AP8=')
    """
    if isinstance(value, bytes) and not isinstance(value, InvalidText):
        return base64.b64encode(value).decode()
    text = "".join(to_text(value).split())
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowRejected("invalid_base64", f"{shown(text)} is not base64: {error}") from error


def hex_(value: FilteredValue) -> str | bytes:
    """Text of hexadecimal digits to binary; a BLOB to lower-case hexadecimal.

    >>> hex_("00FF"), hex_(b"\\x00\\xff")
    (b'\\x00\\xff', '00ff')
    """
    if isinstance(value, bytes) and not isinstance(value, InvalidText):
        return value.hex()
    text = to_text(value).strip()
    if not re.fullmatch("(?:[0-9a-fA-F]{2})*", text):
        raise RowRejected("invalid_hex", f"{shown(text)} is not pairs of hexadecimal digits")
    return bytes.fromhex(text)


def sha256(value: FilteredValue) -> str:
    """SHA-256 of the text form's UTF-8, or of a BLOB's bytes, in hexadecimal."""
    return _sha256(value).hexdigest()


def shard(value: FilteredValue, count: int) -> int:
    """The first four bytes of the value's SHA-256, big-endian, modulo `count`.

    >>> shard("user-1", 10)
    2
    """
    return int.from_bytes(_sha256(value).digest()[:4], "big") % count


def _sha256(value: FilteredValue) -> hashlib._Hash:
    return hashlib.sha256(value if isinstance(value, bytes) else _utf8(to_text(value)))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RowRejected("lone_surrogate", "the text holds half of a surrogate pair") from error


_NAMESPACES: Mapping[str, uuid.UUID] = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def namespace(name: str) -> uuid.UUID:
    """dns, url, oid, x500 (RFC 9562), or a UUID. Raises ValueError."""
    return _NAMESPACES.get(name.lower()) or uuid.UUID(name)


def uuid5(value: FilteredValue, space: str) -> str:
    """The name-based UUID of the text form.

    >>> uuid5("python.org", "dns")
    '886313e1-3b8a-5372-9b90-0c9aee199e5d'
    """
    return str(uuid.uuid5(namespace(space), to_text(value)))


# ---- any value


def storable(value: FilteredValue) -> FilteredValue:
    """What DynamoDB can hold as it is; else text that is not UTF-8 as its bytes, a number out of range as its text.

    >>> storable(b"x"), storable(1e300), storable(InvalidText(b"\\xff"))
    (b'x', '1e+300', b'\\xff')
    """
    if isinstance(value, InvalidText):
        return bytes(value)
    if isinstance(value, int | float | Decimal):
        try:
            number_text(value)
        except RowRejected:
            return repr(value) if isinstance(value, float) else str(value)
    return value


def token(value: FilteredValue) -> str:
    """Text for a part of a key: no two values that SQLite tells apart share it, and no # is in it.

    Text is itself with %25 for % and %23 for #. What is no text begins with another mark, so that 1, '1' and x'31'
    stay three; 1 and 1.0 are one number, as in an index of SQLite.

    >>> token("a#b"), token("1"), token(1), token(1.0), token(0.5), token(b"1"), token(InvalidText(b"\\xff"))
    ('a%23b', '1', '%n1', '%n1', '%n0.5', '%x31', '%uff')
    """
    match value:
        case InvalidText():
            return f"%u{value.hex()}"
        case bytes():
            return f"%x{value.hex()}"
        case float() if value.is_integer():
            return f"%n{int(value)}"
        case int() | float() | Decimal():
            return f"%n{value!s}"
        case _:
            return to_text(value).replace("%", "%25").replace("#", "%23")


# ---- NULL


def default(value: FilteredValue, otherwise: Argument) -> FilteredValue:
    """`otherwise` for NULL, JSON's null included."""
    return otherwise if value is None or isinstance(value, JsonNull) else value


def nullif(value: FilteredValue, *these: Argument) -> FilteredValue:
    """NULL for any of these values. As in SQL the number 0 is not the text "0".

    >>> nullif("N/A", "", "N/A") is None, nullif(0, "0")
    (True, 0)
    """
    return None if any(comparable(value) == comparable(this) for this in these) else value


def comparable(value: object) -> object:
    """A value so that == goes by what it says: 0.1 is the Decimal 0.1, a boolean is 0 or 1."""
    return Decimal(repr(value)) if isinstance(value, float) else value


# ---- the user's own


@lru_cache(maxsize=256)
def load_function(path: str) -> Callable[..., Any]:
    """`module.function` of the user's. Raises ImportError with the reason."""
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ImportError(f"{path!r} names no module: write python:module.function")
    function = getattr(importlib.import_module(module_name), name, None)
    if not callable(function):
        raise ImportError(f"module {module_name} has no function {name}")
    return function  # type: ignore[no-any-return]  # callable() is all that can be known of it


def call_own(value: FilteredValue, path: str, *arguments: Argument) -> FilteredValue:
    """The user's function on the value; what it raises rejects the row, and so does what DynamoDB cannot hold."""
    try:
        result = load_function(path)(value, *arguments)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        _fail(path, error)
    if isinstance(result, tuple):
        result = list(result)
    elif isinstance(result, set | frozenset):
        # Sorted, since a set's order changes from process to process.
        result = to_set(sorted(result, key=lambda member: (str(type(member)), member)))
    to_attribute_value(result)
    return result  # type: ignore[no-any-return]  # to_attribute_value has refused anything else


def _fail(path: str, error: Exception) -> NoReturn:
    raise RowRejected("filter_failed", f"python:{path} raised {type(error).__name__}: {error}") from error
