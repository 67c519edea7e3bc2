"""Durations as plans write them: 6h, 90m, 300s, 500ms, 2d, or a plain number of seconds."""

from __future__ import annotations

import re
from decimal import Decimal

from migrator.node import Node, describe
from migrator.yamlfile import Filled, scalar

_UNITS_S = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(_UNITS_S)})")


def read_duration(node: Node) -> float:
    """Seconds."""
    value = scalar(node.value) if isinstance(node.value, Filled) else node.value
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite() and value >= 0:
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        node.refuse(f"must be a duration, as 30s, 90m, 6h or 2d, and is {describe(value)}")
    return float(Decimal(match[1]) * _UNITS_S[match[2]])


def read_positive_duration(node: Node) -> float:
    """Seconds, more than none."""
    seconds = read_duration(node)
    if seconds <= 0:
        node.refuse("must be longer than nothing")
    return seconds
