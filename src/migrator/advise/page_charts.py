"""The pages' charts as geometry: what a template needs to draw bars and lines, and no more.

Bars are boxes of the page and lines an SVG that stretches, so that text keeps its size on a phone. That is less code
than a chart library takes to be styled for light, dark and print, and brings none of its weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from migrator.limits import ITEM_SIZE_BYTES

#: Units of the SVG; it is stretched to the room there is.
LINE_WIDTH, LINE_HEIGHT = 1_000, 100


class Bar(Struct, frozen=True):
    label: str
    count: int
    height: float  #: of the highest, 0 to 1
    too_large: bool = False


def size_bars(histograms: Iterable[Sequence[tuple[int, int]]]) -> tuple[Bar, ...]:
    """Items by size, of all tables, in classes whose upper ends double. Empty classes between others stay in.

    >>> [(bar.label, bar.count) for bar in size_bars([[(64, 2)], [(64, 1), (256, 5)]])]
    [('64 B', 3), ('128 B', 0), ('256 B', 5)]
    """
    counts: dict[int, int] = {}
    for histogram in histograms:
        for upper, count in histogram:
            counts[upper] = counts.get(upper, 0) + count
    if not counts:
        return ()
    low, high = (round(math.log2(end)) for end in (min(counts), max(counts)))
    highest = max(counts.values())
    return tuple(
        Bar(_short_size(upper), counts.get(upper, 0), counts.get(upper, 0) / highest, upper > ITEM_SIZE_BYTES)
        for upper in (2**exponent for exponent in range(low, high + 1))
    )


def _short_size(size_bytes: int) -> str:
    """
    >>> _short_size(512), _short_size(2048), _short_size(1 << 20)
    ('512 B', '2 KB', '1 MB')
    """
    for unit, name in ((1 << 20, "MB"), (1 << 10, "KB")):
        if size_bytes >= unit:
            return f"{size_bytes // unit} {name}"
    return f"{size_bytes} B"


class Line(Struct, frozen=True):
    """One measure over time."""

    area: str  #: an SVG path, closed at the bottom
    stroke: str  #: the same without its ends
    peak: float  #: a second
    mean: float


class TimeChart(Struct, frozen=True):
    started: str  #: time of day, UTC
    ended: str
    step_s: int
    items: Line
    write_units: Line
    throttled: Line
    throttled_total: int


def time_chart(timeline: Mapping[str, Any]) -> TimeChart:
    """Of a report's `timeline`."""
    step_s, steps = timeline["step_s"], len(timeline["items"])
    started = datetime.fromisoformat(timeline["started_at"]).astimezone(UTC)
    return TimeChart(
        started=f"{started:%H:%M:%S}",
        ended=f"{started + timedelta(seconds=step_s * steps):%H:%M:%S}",
        step_s=step_s,
        items=_line(timeline["items"], step_s),
        write_units=_line(timeline["write_units"], step_s),
        throttled=_line(timeline["throttled"], step_s),
        throttled_total=sum(timeline["throttled"]),
    )


def _line(values: Sequence[float], step_s: int) -> Line:
    """Steps, not slopes: what is known of a second is its sum."""
    peak = max(values, default=0)
    width = LINE_WIDTH / max(1, len(values))
    corners = [
        (f"{x:.1f}", f"{LINE_HEIGHT * (1 - value / peak if peak else 1):.1f}")
        for number, value in enumerate(values)
        for x in (number * width, (number + 1) * width)
    ]
    stroke = "M" + " L".join(f"{x} {y}" for x, y in corners) if corners else ""
    area = f"{stroke} L{LINE_WIDTH} {LINE_HEIGHT} L0 {LINE_HEIGHT} Z" if corners else ""
    return Line(area, stroke, peak / step_s, sum(values) / (step_s * max(1, len(values))))
