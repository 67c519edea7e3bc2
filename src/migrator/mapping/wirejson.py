"""DynamoDB JSON: attributes as they stand in a request's body, and read back from it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from migrator.errors import RowRejected
from migrator.mapping.model import Attributes, AttributeValue


def to_wire(value: Attributes | AttributeValue) -> bytes:
    """An item or an attribute value as DynamoDB JSON.

    Raises RowRejected for half of a surrogate pair, which only reaches this point where items are not validated.
    """
    try:
        return orjson.dumps(value, default=to_base64)
    except orjson.JSONEncodeError as error:
        raise RowRejected("lone_surrogate", f"the item cannot be written as UTF-8: {error}") from error


def from_wire(attributes: dict[str, Any]) -> Attributes:
    """Parsed DynamoDB JSON with its binary values as bytes, as boto3's low-level client gives them."""
    return {name: _from_wire(value) for name, value in attributes.items()}


def _from_wire(value: AttributeValue) -> AttributeValue:
    ((kind, content),) = value.items()
    read = _READERS.get(kind)
    return value if read is None else {kind: read(content)}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "B": base64.b64decode,
    "BS": lambda members: [base64.b64decode(member) for member in members],
    "L": lambda members: [_from_wire(member) for member in members],
    "M": from_wire,
}


def to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
