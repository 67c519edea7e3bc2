"""Any SQLite file, without a hand edit: suggest, run and verify, on files that people have and on a file of traps."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import engines

ROOT = Path(__file__).parents[2]
TRAPS = ROOT / "fixtures" / "traps.sqlite"
REAL_DATA = Path(os.environ.get("MIGRATOR_REAL_DATA", "/nonexistent"))
REAL = sorted(REAL_DATA.glob("*.sqlite"))
#: moto walks the whole table for each question: it takes minutes for some thousand items.
LARGE_BYTES = 512 * 1024
STYLES = ("single-table", "table-per-entity")


def cases() -> list[Any]:
    """Each real file on each engine, but for large ones on moto."""
    return [
        pytest.param(path, engine, id=f"{path.stem}-{engine}")
        for engine in engines.engine_names()
        for path in REAL
        if engine != "moto" or path.stat().st_size < LARGE_BYTES
    ]


@pytest.fixture
def migrate(lone_migrator: Any, engine: str, dynamodb: Any) -> Callable[..., tuple[Any, Any, Any]]:
    """Suggest, run and verify a file; straight to the engine, since the door costs as much as the engine itself."""
    migrator = replace(lone_migrator, environment={**lone_migrator.environment, "AWS_ENDPOINT_URL_DYNAMODB": engine})

    def migrated(path: Path, *options: str) -> tuple[Any, Any, Any]:
        folder = migrator.folder / "design"
        suggest = migrator("suggest", path, "--table", "suggested-e2e", "-o", str(folder), *options)
        assert suggest.exit_code == 0, suggest.stderr
        run = migrator("run", folder / "plan.yaml")
        return suggest, run, migrator("verify", folder / "plan.yaml")

    return migrated


def announced(suggest: Any) -> Counter[str]:
    """Code -> rows that suggest says will be rejected."""
    found = re.findall(r"- ([\d,]+) of its rows will be rejected: (\w+)", suggest.stdout)
    return Counter({code: int(rows.replace(",", "")) for rows, code in found})


def know_phonebook(db: sqlite3.Connection) -> None:
    """What an application brings along, and migrator does not know."""
    db.create_collation("PHONEBOOK", lambda a, b: (a > b) - (a < b))


def rows_of(path: Path) -> dict[str, int]:
    """Each table's rows as SQLite counts them."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        know_phonebook(db)  # a count goes through an index, too
        listed = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"
        names = [name for (name,) in db.execute(listed) if not name.startswith("sqlite_")]
        quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
        return {name: db.execute(f"SELECT count(*) FROM {quoted[name]}").fetchone()[0] for name in names}


def assert_migrated(path: Path, suggest: Any, run: Any, verify: Any) -> None:
    """Every row of every table is written and verified equal, or rejected as was announced."""
    rejected = announced(suggest)
    assert run.exit_code == (1 if rejected else 0), run.stderr + run.stdout
    expected = rows_of(path)
    # An entity cannot be called '' as a table can.
    read = {"" if e["entity"] == "unnamed" else e["source"]: e["read"] for e in run.report["entities"]}
    assert read == expected
    totals = run.report["totals"]
    assert (totals["rejected"], totals["failed"], totals["skipped"]) == (sum(rejected.values()), 0, 0)
    assert totals["written"] == totals["items"] >= sum(expected.values()) - totals["rejected"]
    assert verify.exit_code == 0, verify.stderr + verify.stdout
    agree = re.fullmatch(r"access patterns: (\d+) of (\d+) agree", verify.stdout.splitlines()[-1])
    assert agree, verify.stdout
    assert int(agree[1]) == int(agree[2]) > 0


@pytest.mark.skipif(not REAL, reason="MIGRATOR_REAL_DATA names no folder with SQLite files")
@pytest.mark.parametrize(("path", "engine"), cases(), indirect=["engine"])
def test_a_real_file_arrives_whole(path: Path, migrate: Any, tmp_path: Path) -> None:
    suggest, run, verify = migrate(path)
    # wal.sqlite is counted in a copy, as opening it would leave files beside it.
    for part in path.parent.glob(f"{path.name}*"):
        shutil.copyfile(part, tmp_path / part.name)
    assert_migrated(tmp_path / path.name, suggest, run, verify)
    assert announced(suggest) == {}


@pytest.mark.parametrize("style", STYLES)
def test_every_trap_arrives_and_what_dynamodb_cannot_hold_is_announced(migrate: Any, style: str) -> None:
    suggest, run, verify = migrate(TRAPS, "--style", style)
    assert_migrated(TRAPS, suggest, run, verify)
    assert announced(suggest) == {"item_too_large": 2}


def test_a_utf16_file_with_half_a_surrogate_pair_arrives(migrate: Any, tmp_path: Path) -> None:
    path = tmp_path / "utf16.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA encoding = 'UTF-16le'")
        db.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v)")
        db.execute("INSERT INTO t VALUES ('é#', 1), ('日本', x'00'), (CAST(x'00d8' AS TEXT), 'half a pair')")
    assert_migrated(path, *migrate(path))


def test_columns_in_an_order_that_only_the_application_knows_arrive(migrate: Any, tmp_path: Path) -> None:
    path = tmp_path / "sorted.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        know_phonebook(db)
        db.execute("CREATE TABLE parents (k TEXT COLLATE PHONEBOOK PRIMARY KEY, v)")
        db.execute("CREATE TABLE plain (v TEXT COLLATE PHONEBOOK, expires TEXT COLLATE PHONEBOOK UNIQUE)")
        db.execute("CREATE TABLE links (k TEXT COLLATE PHONEBOOK REFERENCES parents, n INTEGER, PRIMARY KEY (k, n))")
        for statement in (
            "parents VALUES ('a', 1), ('B', 2), (NULL, 3)",
            "plain VALUES ('x', '2099-01-01'), ('x', NULL)",
            "links VALUES ('a', 1), ('B', 1), ('c', 2)",
        ):
            db.execute(f"INSERT INTO {statement}")
    assert_migrated(path, *migrate(path))


def test_rows_in_a_wal_arrive(migrate: Any, tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (k INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO t VALUES (1), (2)")
        assert_migrated(path, *migrate(path))


def test_a_file_and_folder_that_are_read_only_are_enough(migrate: Any, tmp_path: Path) -> None:
    folder = tmp_path / "read only"
    folder.mkdir()
    path = folder / "${HOME} [1]*.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (k TEXT PRIMARY KEY)")
        db.execute("INSERT INTO t VALUES ('a')")
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert_migrated(path, *migrate(path))
    finally:
        folder.chmod(0o755)


# ---- the files


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE goods (id INTEGER PRIMARY KEY)")
    return path


def test_the_plan_names_its_source_from_where_it_lies_and_no_target(lone_migrator: Any, shop: Path) -> None:
    folder = shop.parent / "a" / "b"
    done = lone_migrator("suggest", shop, "--table", "shop", "-o", str(folder))
    plan = yaml.safe_load((folder / "plan.yaml").read_text(encoding="utf-8"))
    assert plan == {"version": 1, "name": "shop", "source": "../../shop.sqlite", "mappings": ["mapping.yaml"]}
    assert done.stdout.splitlines()[-2:] == [f"wrote {folder / name}" for name in ("mapping.yaml", "plan.yaml")]


def test_a_suggestion_replaces_an_older_one(lone_migrator: Any, shop: Path) -> None:
    assert lone_migrator("suggest", shop, "--table", "one").exit_code == 0
    assert lone_migrator("suggest", shop, "--table", "two").exit_code == 0
    assert "name: two" in (shop.parent / "mapping.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("edit", "why"), [("append", "was edited since suggest made it"), ("own", "was not made by")])
def test_a_file_of_somebodys_own_stays(lone_migrator: Any, shop: Path, edit: str, why: str) -> None:
    mapping = shop.parent / "mapping.yaml"
    lone_migrator("suggest", shop, "--table", "shop")
    own = mapping.read_text(encoding="utf-8") + "# mine\n" if edit == "append" else "version: 1\n"
    mapping.write_text(own, encoding="utf-8")
    refused = lone_migrator("suggest", shop, "--table", "shop")
    assert refused.exit_code == 2
    assert why in refused.stderr
    assert mapping.read_text(encoding="utf-8") == own
    assert lone_migrator("suggest", shop, "--table", "shop", "--force").exit_code == 0


def test_a_name_that_no_table_can_have_is_wrong_usage(lone_migrator: Any, shop: Path) -> None:
    refused = lone_migrator("suggest", shop, "--table", "a b")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert not (shop.parent / "plan.yaml").exists()


def test_a_missing_source_is_not_created(lone_migrator: Any, tmp_path: Path) -> None:
    refused = lone_migrator("suggest", tmp_path / "none.sqlite", "--table", "none")
    assert refused.exit_code == 3
    assert list(tmp_path.glob("*.sqlite")) == []
