"""One engine is enough here, behind the strict door: what fails is the source, the way to the engine or the process."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import engines
from command import environment, through
from cut_off import kill_at_write
from door import Door
from migration import ROW, Migration


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Dynalite, which refuses the most and is the quickest; where it is not installed, moto."""
    if os.environ.get("DYNAMODB_ENDPOINT"):
        return os.environ["DYNAMODB_ENDPOINT"]
    return request.getfixturevalue("dynalite_url" if engines.dynalite_is_installed() else "moto_url")


@pytest.fixture
def migration(tmp_path: Path, door: Door, dynamodb: Any) -> Migration:
    """A folder for source and plan, and the command pointed at the door."""
    (tmp_path / "source").mkdir()
    return Migration(tmp_path, through(door, tmp_path, environment(tmp_path)), door, dynamodb)


@pytest.fixture
def filled(migration: Migration) -> Migration:
    """60 rows, one of them no item."""
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b)")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", ((n, n, f"text {n}") for n in range(59)))
        connection.execute("INSERT INTO rows VALUES (59, 59, CAST(x'ff' AS TEXT))")
    migration.write(ROW)
    return migration


@pytest.fixture
def cut(filled: Migration) -> Migration:
    """The same, killed with half of it written and a third recorded."""
    filled.write(ROW, batch_size=5, connections=1)
    kill_at_write(filled.migrator, filled.plan, filled.door, 6, filled.state_file)
    return filled
