"""Attribute values as the DynamoDB service documents them: what it refuses, how much they weigh, when two are equal.

DG is the Amazon DynamoDB developer guide, API its API reference; what stands in quotes is a heading there.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

VALIDATION = "com.amazon.coral.validate#ValidationException"
SERIALIZATION = "com.amazon.coral.service#SerializationException"

#: DG Constraints, "Attribute names"
NAME_BYTES = 65_535
#: DG Constraints, "Nested attribute depth": 32 levels, of which the item itself is the first
CONTAINERS = 31
#: DG HowItWorks.NamingRulesDataTypes, "Number": ASCII digits, at most 38 that count
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NUMBER_DIGITS = 38
NUMBER_MAX, NUMBER_MIN = Decimal("9.9999999999999999999999999999999999999E+125"), Decimal("1E-130")

Attributes = Mapping[str, Any]


class Refused(Exception):
    """The service would answer this request with an error."""

    def __init__(self, rule: str, message: str, kind: str = VALIDATION, status: int = 400) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.kind = kind
        self.status = status


def check_value(value: Any, depth: int = 0) -> None:
    """Check one attribute value; `depth` counts the containers around it."""
    if not isinstance(value, dict) or len(value) != 1:
        # API AttributeValue: exactly one data type
        raise Refused("one_type", "Supplied AttributeValue must contain exactly one of the supported datatypes")
    (kind, content), *_ = value.items()
    if kind not in CHECKS:
        raise Refused("known_type", f"Supplied AttributeValue is of an unknown datatype {kind}")
    CHECKS[kind](content, depth)


def _check_text(content: Any, depth: int = 0) -> None:
    if not isinstance(content, str):
        raise Refused("text", "STRING_VALUE expected", SERIALIZATION)
    utf8(content)


def _check_number(content: Any, depth: int = 0) -> None:
    # DG HowItWorks.NamingRulesDataTypes, "Number"
    if not isinstance(content, str):
        raise Refused("number_as_text", "NUMBER_VALUE cannot be converted to String", SERIALIZATION)
    if not NUMBER.fullmatch(content):
        raise Refused("number_syntax", "The parameter cannot be converted to a numeric value")
    if len(_significant(content)) > NUMBER_DIGITS:
        raise Refused("number_digits", "Attempting to store more than 38 significant digits in a Number")
    magnitude = Decimal(content).copy_abs()  # abs() would round to 28 digits
    if magnitude > NUMBER_MAX:
        raise Refused("number_overflow", "Number overflow. Attempting to store a number larger than supported range")
    if 0 < magnitude < NUMBER_MIN:
        raise Refused("number_underflow", "Number underflow. Attempting to store a number smaller than supported range")


def _check_binary(content: Any, depth: int = 0) -> None:
    # DG HowItWorks.NamingRulesDataTypes, "Binary": base64 in transit
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refused("base64", "Base64 encoded value expected", SERIALIZATION) from error


def _check_boolean(content: Any, depth: int = 0) -> None:
    if not isinstance(content, bool):
        raise Refused("boolean", "Boolean expected", SERIALIZATION)


def _check_null(content: Any, depth: int = 0) -> None:
    if content is not True:
        raise Refused("null", "Null attribute value types must have the value of true")


def _check_list(content: Any, depth: int) -> None:
    _check_depth(depth)
    for element in content:
        check_value(element, depth + 1)


def _check_map(content: Any, depth: int) -> None:
    _check_depth(depth)
    check_attributes(content, depth + 1)


def _check_depth(depth: int) -> None:
    if depth + 1 > CONTAINERS:
        raise Refused("nesting", "Nesting Levels have exceeded supported limits")


def _check_set(kind: str) -> Callable[[Any, int], None]:
    # DG HowItWorks.NamingRulesDataTypes, "Sets": no empty set, each value unique, numbers by value
    def check(content: Any, depth: int) -> None:
        if not content:
            raise Refused("empty_set", "An string set  may not be empty")
        for element in content:
            CHECKS[kind](element, depth)
        if len({comparable(kind, element) for element in content}) < len(content):
            raise Refused("set_duplicates", "Input collection contains duplicates.")

    return check


CHECKS: Mapping[str, Callable[[Any, int], None]] = {
    "S": _check_text,
    "N": _check_number,
    "B": _check_binary,
    "BOOL": _check_boolean,
    "NULL": _check_null,
    "L": _check_list,
    "M": _check_map,
    "SS": _check_set("S"),
    "NS": _check_set("N"),
    "BS": _check_set("B"),
}


def check_attributes(attributes: Attributes, depth: int = 0) -> None:
    """Check names and values of an item or a map."""
    for name, value in attributes.items():
        # DG HowItWorks.NamingRulesDataTypes, "Naming rules": at least one character, no more than 64 KB
        if not 1 <= len(utf8(name)) <= NAME_BYTES:
            raise Refused("attribute_name", "Attribute name must be between 1 and 65535 bytes long")
        check_value(value, depth)


# ---- sizes: DG CapacityUnitCalculations, "DynamoDB Item sizes and formats"


def item_bytes(attributes: Attributes) -> int:
    """Count an item's size as DynamoDB does.

    >>> item_bytes({"é": {"S": "ab"}, "n": {"N": "-1.5"}, "l": {"L": [{"NULL": True}]}})
    14
    """
    return sum(len(utf8(name)) + value_bytes(value) for name, value in attributes.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    """Count one value, without its name."""
    (kind, content), *_ = value.items()
    match kind:
        case "S":
            return len(utf8(content))
        case "N":
            return _number_bytes(content)
        case "B":
            return len(base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + value_bytes(element) for element in content)
        case "M":
            return 3 + item_bytes(content) + len(content)
    return sum(value_bytes({kind[0]: element}) for element in content)


def _number_bytes(text: str) -> int:
    # One byte for two significant digits, rounded up, one more, and one for a sign.
    digits = _significant(text)
    return 1 + (len(digits) + 1) // 2 + (text.startswith("-") and bool(digits))


def _significant(text: str) -> str:
    """Give the digits between leading and trailing zeros.

    >>> _significant("-007.50e3"), _significant("0.0")
    ('75', '')
    """
    digits = re.split("[eE]", text.lstrip("-"))[0].replace(".", "")
    return digits.strip("0")


def comparable(kind: str, content: Any) -> Any:
    """Give what is equal exactly if DynamoDB finds it equal."""
    if kind == "N":
        return Decimal(content)
    return base64.b64decode(content) if kind == "B" else content


def utf8(text: str) -> bytes:
    """Encode, or refuse what cannot be."""
    # DG HowItWorks.NamingRulesDataTypes, "String": Unicode with UTF-8 binary encoding
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refused("utf8", "Invalid UTF-8: a lone surrogate", SERIALIZATION) from error
