"""A run on one line, from its report: for the mail of a scheduler and the end of a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Told even where they are 0; the others only where there is something to tell.
_ALWAYS = ("read", "written", "rejected", "failed")


def summary_line(report: Mapping[str, Any]) -> str:
    """
    >>> totals = {"read": 5, "items": 5, "written": 4, "skipped": 0, "rejected": 1, "failed": 0, "write_units": 7}
    >>> print(summary_line({"run_id": "20261121T100000Z-1a2b3c", "plan": "shop", "status": "completed_with_rejects",
    ...     "dry_run": False, "resumed": True, "totals": totals, "duration_s": 1.9, "rejects": "/rejects.jsonl",
    ...     "failed": "/failed.jsonl", "error": None}))
    run 20261121T100000Z-1a2b3c of plan shop: completed with rejects, resumed:
    5 read, 4 written, 1 rejected, 0 failed, 7 write units, 1.9 s; rejected rows: /rejects.jsonl
    """
    kind = "dry run" if report["dry_run"] else "run"
    resumed = ", resumed" if report["resumed"] else ""
    status = f"{kind} {report['run_id']} of plan {report['plan']}: {report['status'].replace('_', ' ')}{resumed}"
    return f"{status}: {'; '.join([', '.join(_figures(report)), *_places(report)])}"


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    for name, count in report["totals"].items():
        if name in _ALWAYS or (count and name != "items"):
            yield f"{count} {name.replace('_', ' ')}"
    if left_out := sum(bool(file["error"]) for file in report.get("source", ())):
        yield f"{left_out} files set aside"
    yield f"{report['duration_s']:.1f} s"


def _places(report: Mapping[str, Any]) -> Iterator[str]:
    """Where to look further."""
    if report["totals"]["rejected"]:
        yield f"rejected rows: {report['rejects']}"
    if report["totals"]["failed"]:
        yield f"failed items: {report['failed']}"
    if verification := report.get("verification"):
        yield f"verify: {verification['status']}"
    if error := report["error"]:
        yield f"stopped: {error['code']}"
