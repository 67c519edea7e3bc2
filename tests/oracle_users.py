"""What the API's users must become, by sqlite3 and plain Python alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

Item = dict[str, dict[str, str]]


def expected_items(path: Path) -> dict[tuple[str], Item]:
    """Every item of the table, by its key."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        items = [_item(row) for row in db.execute("SELECT * FROM users")]
    by_key = {(item["id"]["S"],): item for item in items}
    assert len(by_key) == len(items)
    return by_key


def iso(value: str | int) -> str:
    """The source's times: seconds since 1970, or ISO text, which is in UTC unless it says otherwise."""
    if isinstance(value, int):
        instant = datetime.fromtimestamp(value, UTC)
    else:
        instant = datetime.fromisoformat(value)
        instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    assert not instant.microsecond
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _item(row: sqlite3.Row) -> Item:
    created, email = iso(row["created_at"]), row["email"].lower()
    texts = {
        "id": row["id"] if row["id"].startswith("USER#") else f"USER#{row['id']}",
        "pk1": "USER",
        "sk1": f"EMAIL#{email}",
        "pk2": "USER",
        "sk2": f"CREATED#{created}",
        "email": email,
        "name": row["name"],
        "createdAt": created,
    }
    if row["updated_at"] is not None:
        texts["updatedAt"] = iso(row["updated_at"])
    return {name: {"S": text} for name, text in texts.items()}
