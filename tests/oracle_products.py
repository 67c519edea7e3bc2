"""What the shop's fixture must become, written by hand from the description of its two tables.

As `oracle_madmall`, whose wire values it uses: sqlite3 and the standard library, no line shared with the migrator.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from oracle_madmall import Wire, epoch, epoch_instant, n, rows, s, text_instant


def products(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM products"):
        yield {
            "id": n(r["id"]),
            "title": s(r["title"]),
            "path": s(f"https://{r['image_bucket']}.s3.{r['image_region']}.amazonaws.com/{r['image_key']}"),
            "description": s(r["description"]),
            "price": n(r["price"]),
            "category": s(r["category"] or None),
            "created_at": s(text_instant(r["created_at"])),
            "updated_at": s(epoch_instant(r["updated_at"])),
        }


def sessions(db: sqlite3.Connection) -> Iterator[dict[str, Wire | None]]:
    for r in rows(db, "SELECT * FROM sessions"):
        yield {
            "session_id": s(r["session_id"]),
            "user_id": s(r["user_id"]),
            "data": s(r["data"]),
            "created_at": s(text_instant(r["created_at"])),
            "expires_at": epoch(r["expires_at"]),
        }


#: The mapping's name of the entity -> its key, its rendering
ENTITIES: dict[str, tuple[str, Callable[[sqlite3.Connection], Iterator[dict[str, Wire | None]]]]] = {
    "Product": ("id", products),
    "Session": ("session_id", sessions),
}


def expected_items(path: Path, entity: str) -> dict[tuple[str], dict[str, Wire]]:
    """Every item of the entity's table, by its key's value."""
    key, render = ENTITIES[entity]
    items: dict[tuple[str], dict[str, Wire]] = {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        for loose in render(db):
            item = {name: value for name, value in loose.items() if value is not None}
            (value,) = item[key].values()
            items[(value,)] = item
    return items
