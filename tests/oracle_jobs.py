"""What the conversion service's fixture must become, written by hand from the description of its table.

As `oracle_madmall`, whose wire values it uses: sqlite3 and the standard library, no line shared with the migrator.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from oracle_madmall import Wire, from_json, m, n, rows, s, text_instant


def jobs(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM jobs"):
        yield {
            "jobId": s(r["job_id"]),
            "status": s(r["status"]),
            "userId": s(r["user_id"]),
            "createdAt": s(text_instant(r["created_at"])),
            "updatedAt": s(text_instant(r["updated_at"])),
            "jobType": s(r["job_type"]),
            "inputFile": s(r["input_file"]),
            "outputFile": s(r["output_file"]),
            "metadata": from_json(r["metadata"]),
            "ttl": n(None if r["expires_at"] is None else math.floor(r["expires_at"])),
        }


def system_status(started_at: datetime) -> dict[str, Wire | None]:
    return {
        "jobId": s("system-status"),
        "status": s("active"),
        "userId": s("system"),
        "jobType": s("system"),
        "createdAt": s("2026-01-01T00:00:00Z"),
        "updatedAt": s("2026-01-01T00:00:00Z"),
        "metadata": m(component=s("jobs"), schemaVersion=n(1)),
        "ttl": n(int((started_at + timedelta(days=365)).timestamp())),
    }


def expected_items(path: Path, started_at: datetime) -> dict[tuple[str], dict[str, Wire]]:
    """Every item of the table, by its jobId. `started_at` is the run's start, which {now: …} counts from."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        rendered = [system_status(started_at), *jobs(db)]
    items = [{name: value for name, value in loose.items() if value is not None} for loose in rendered]
    return {(item["jobId"]["S"],): item for item in items}
