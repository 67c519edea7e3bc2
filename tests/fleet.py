"""A fleet: many SQLite files of one shape, one a tenant, the plan for all of them, and what their items must be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = """
    CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, score REAL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, total NUMERIC, note TEXT);
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
MAPPING = """
version: 1
table: {{name: {table}, partition_key: PK, sort_key: SK}}
entities:
  User: {{source: users, key: {{PK: "{key}", SK: "USER#{{id}}"}}, attributes: {{tenant: "@{name}"}}}}
  Order: {{source: orders, key: {{PK: "{key}", SK: "ORDER#{{id}}"}}}}
  Setting: {{source: settings, key: {{PK: "{key}", SK: "SETTING#{{name}}"}}}}
access_patterns:
  users of a tenant: {{entity: User, key: {{PK: "{key}", SK: {{begins_with: "USER#"}}}}}}
"""
PLAN = """
version: 1
name: fleet
source: {source}
source_pattern: 'tenants/(?P<tenant>[a-z0-9-]+)\\.sqlite$'
mappings: [fleet.yaml]
target: {{region: us-east-1}}
settings: {{parallelism: {parallelism}{settings}}}
"""


def tenant(number: int) -> str:
    return f"tenant-{number:04}"


def make_tenant(path: Path, number: int, rows: int) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(SCHEMA)
        database.executemany("INSERT INTO users VALUES (?, ?, ?)", _users(number, rows))
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", _orders(number, rows))
        database.executemany("INSERT INTO settings VALUES (?, ?)", _settings(number, rows))


def make_fleet(folder: Path, numbers: Iterable[int], rows: int = 3) -> Path:
    """The tenants' files in a folder of theirs, by name."""
    place = folder / "tenants"
    place.mkdir(exist_ok=True)
    for number in numbers:
        make_tenant(place / f"{tenant(number)}.sqlite", number, rows)
    return place


def damage(path: Path) -> None:
    """Pages that hold rows are overwritten; the first, with the schema, stays."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def change_schema(path: Path) -> None:
    """A column that the mapping needs has another name."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE orders RENAME COLUMN id TO order_id")


def write_plan(
    folder: Path,
    table: str,
    source: str = '"tenants/*.sqlite"',
    *,
    name: str = "tenant",
    parallelism: int = 2,
    settings: str = "",
) -> Path:
    """`name` is what the key knows the tenant by; `settings` follow parallelism in a YAML map."""
    key = f"TENANT#{{@{name}}}"
    (folder / "fleet.yaml").write_text(MAPPING.format(table=table, key=key, name=name), encoding="utf-8")
    plan = folder / "plan.yaml"
    plan.write_text(PLAN.format(source=source, parallelism=parallelism, settings=settings), encoding="utf-8")
    return plan


def expected_items(numbers: Iterable[int], rows: int = 3) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(item["PK"]["S"], item["SK"]["S"]): item for number in numbers for item in _items(number, rows)}


def _items(number: int, rows: int) -> Iterator[dict[str, Any]]:
    name = tenant(number)
    key = {"S": f"TENANT#{name}"}
    for identifier, email, score in _users(number, rows):
        attributes = {"tenant": {"S": name}, "email": {"S": email}, "score": {"N": repr(score)}}
        yield {"PK": key, "SK": {"S": f"USER#{identifier}"}, **attributes}
    for identifier, user, total, note in _orders(number, rows):
        attributes = {"user_id": {"N": str(user)}, "total": {"N": str(total)}}
        attributes |= {} if note is None else {"note": {"S": note}}
        yield {"PK": key, "SK": {"S": f"ORDER#{identifier}"}, **attributes}
    for setting, value in _settings(number, rows):
        yield {"PK": key, "SK": {"S": f"SETTING#{setting}"}, "value": {"S": value}}


def _users(number: int, rows: int) -> list[tuple[int, str, float]]:
    return [(n, f"user{n}@{tenant(number)}.example", n + 0.5) for n in range(1, rows + 1)]


def _orders(number: int, rows: int) -> list[tuple[int, int, int, str | None]]:
    return [(n, 1 + n % rows, 100 * number + n, None if n % 2 else "gift") for n in range(1, rows + 1)]


def _settings(number: int, rows: int) -> list[tuple[str, str]]:
    return [(f"s{n}", f"{number}.{n}") for n in range(1, rows + 1)]
