"""The page of a run: what it wrote, how fast, and what was rejected, from its report and its dead-letter files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from migrator.advise.page import render
from migrator.advise.page_charts import time_chart
from migrator.run.report import RunReport

_EXAMPLES = 3
_BADGES = {"succeeded": "good", "completed_with_rejects": "watch", "failed": "bad", "interrupted": "watch"}


class Reason(Struct):
    """Dead letters of one entity with one code (and column)."""

    entity: str
    code: str
    column: str | None
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)  #: (key, the message)


def to_html(report: RunReport, *, values: bool = True) -> str:
    """`values` False leaves out what rows hold: keys and messages of rejects."""
    shown = report.to_json()
    return render(
        "run.html",
        report=shown,
        badge=_BADGES[report.status],
        chart=time_chart(shown["timeline"]) if "timeline" in shown else None,
        forecast=report.forecast,
        rejects=_reasons(report.rejects, "row", "detail", values=values),
        failed=_reasons(report.failed, "key", "message", values=values),
    )


def _reasons(path: str | None, key: str, words: str, *, values: bool) -> list[Reason]:
    reasons: dict[tuple[str, str, str | None], Reason] = {}
    for line in _lines(path):
        name = (line["entity"], line["code"], line.get("column"))
        reason = reasons.setdefault(name, Reason(*name))
        reason.count += 1
        if values and len(reason.examples) < _EXAMPLES:
            reason.examples.append((_key_words(line[key]), line[words]))
    return sorted(reasons.values(), key=lambda reason: -reason.count)


def _lines(path: str | None) -> Iterator[dict[str, Any]]:
    if path and Path(path).exists():
        with Path(path).open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _key_words(key: Mapping[str, Mapping[str, Any]]) -> str:
    """
    >>> _key_words({"id": {"N": "7"}, "name": {"S": "a"}})
    'id 7, name a'
    """
    return ", ".join(f"{name} {value}" for name, typed in key.items() for value in typed.values())
