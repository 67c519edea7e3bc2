"""What the catalogue's fixture must become, by sqlite3 and plain Python alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Wire = dict[str, Any]


def expected_items(path: Path) -> dict[tuple[str], dict[str, Wire]]:
    """Every item of the table, by its key."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return {(row["id"],): _item(row) for row in db.execute("SELECT * FROM items")}


def seconds(value: str | int) -> int:
    """The source's times: seconds already, or ISO text, which is in UTC unless it says otherwise."""
    if isinstance(value, int):
        return value
    instant = datetime.fromisoformat(value)
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())


def _item(row: sqlite3.Row) -> dict[str, Wire]:
    texts = {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "status": row["status"],
        "createdBy": row["created_by"],
    }
    numbers = {
        "createdAt": seconds(row["created_at"]),
        "updatedAt": seconds(row["updated_at"]),
        "version": row["version"],
        "ttl": None if row["expires_at"] is None else seconds(row["expires_at"]),
    }
    return {name: {"S": text} for name, text in texts.items() if text is not None} | {
        name: {"N": str(number)} for name, number in numbers.items() if number is not None
    }
