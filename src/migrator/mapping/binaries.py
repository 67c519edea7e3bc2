"""What the filters for bytes, their spellings and their hashes do to one value. NULL never comes in here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import Mapping

from migrator.errors import RowRejected
from migrator.mapping.decimals import shown
from migrator.mapping.values import FilteredValue, to_text
from migrator.source.text import InvalidText


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
