"""Any rows of any small schema through any trouble, in this process for speed: fault 48."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from command import Outcome
from conftest import await_table
from door import Door
from door_faults import EXPIRED, Script, deny
from migration import TABLE, Migration
from migrator.run import engine, opened, writing
from migrator.run import settings as run_settings
from migrator.run.plan import load_plan
from oracle_rows import Entity, expected_of

# ---- sources


@dataclass(frozen=True)
class Torn:
    """Bytes that are stored as text, and are none."""

    raw: bytes


@dataclass(frozen=True)
class Table:
    entity: Entity
    declared: tuple[str, ...]  #: the types of its columns, each named by its place
    rows: tuple[tuple[Any, ...], ...]


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["1", "1.0", "\0", "日本"])
_numbers = st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63), 0.1, -2.5, 1e16])
_cells = st.none() | _numbers | _text | st.binary(max_size=4) | st.just(Torn(b"a\xff"))
_declared = st.lists(st.sampled_from(["", "INTEGER", "TEXT", "REAL", "BLOB"]), min_size=1, max_size=3)


@st.composite
def _tables(draw: st.DrawFn, number: int) -> Table:
    declared = tuple(draw(_declared))
    rows = draw(st.lists(st.tuples(*[_cells] * len(declared)), max_size=40))
    key = draw(st.sampled_from(["id", "c0"]))
    # Two entities of one prefix may give the same keys.
    entity = Entity(f"Row{number}", f"rows{number}", key, draw(st.sampled_from("KL")), primary_key="id")
    return Table(entity, declared, tuple(rows))


_sources = st.tuples(_tables(0)) | st.tuples(_tables(0), _tables(1))


def make(path: Path, tables: tuple[Table, ...]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in tables:
            columns = "".join(f", c{place} {kind}" for place, kind in enumerate(table.declared))
            connection.execute(f"CREATE TABLE {table.entity.source} (id INTEGER PRIMARY KEY{columns})")
            for row in table.rows:
                marks = ", ".join("CAST(? AS TEXT)" if isinstance(cell, Torn) else "?" for cell in row)
                cells = [cell.raw if isinstance(cell, Torn) else cell for cell in row]
                connection.execute(f"INSERT INTO {table.entity.source} VALUES (NULL, {marks})", cells)


# ---- runs


@dataclass(frozen=True)
class InThisProcess:
    """Stands for the command."""

    folder: Path

    def __call__(self, command: str, plan: Path, *options: str) -> Outcome:
        assert (command, options) == ("run", ())
        report = self.folder / "report.json"
        found = engine.run_plan(load_plan(plan), report_file=report)
        return Outcome(found.exit_code, "", "", json.loads(report.read_text(encoding="utf-8")))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short segments and short waits."""
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 7)
    monkeypatch.setattr(writing, "PART_S", 0.05)
    policy = partial(run_settings.RetryPolicy, first_delay_s=0.001, longest_delay_s=0.02)
    monkeypatch.setattr(run_settings, "RetryPolicy", policy)


@pytest.fixture
def prove(hurried: None, door: Door, dynamodb: Any) -> Callable[..., None]:
    """I1 to I4 for a source and the trouble of a seed; whenever the trouble stops the run, it is run again."""

    def prove(tables: tuple[Table, ...], seed: int, share: float, batch_size: int) -> None:
        entities = [table.entity for table in tables]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "source").mkdir()
            migration = Migration(folder, InThisProcess(folder), door, dynamodb)  # type: ignore[arg-type]
            make(migration.source, tables)
            migration.write(*entities, target={"endpoint_url": door.url}, batch_size=batch_size, connections=3)
            door.faults.append(Script(seed, share, deny(None, kind=EXPIRED)))
            try:
                outcome = run_to_its_end(migration)
                door.faults.clear()
                migration.assert_holds(outcome, expected_of(migration.source, *entities))
            finally:
                door.reset()
                dynamodb.delete_table(TableName=TABLE)
                await_table(dynamodb, TABLE, "table_not_exists")

    return prove


def run_to_its_end(migration: Migration) -> Outcome:
    """Again and again, for as long as something stops it."""
    outcomes = (migration.run() for _ in range(100))
    return next(outcome for outcome in outcomes if outcome.exit_code != 3)


_trouble = {"seed": st.integers(0, 10**6), "share": st.sampled_from([0.1, 0.4, 0.7]), "batch_size": st.integers(1, 8)}
# Nothing is made smaller: rows and trouble change together, and each try is a whole migration.
_settings = partial(
    settings, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate]
)


@_settings(max_examples=25)
@given(tables=_sources, **_trouble)
def test_48_any_rows_through_any_trouble(prove: Callable[..., None], tables: Any, **trouble: Any) -> None:
    prove(tables, **trouble)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@_settings(max_examples=1000)
@given(tables=_sources, **_trouble)
def test_48_any_rows_through_any_trouble_for_long(prove: Callable[..., None], tables: Any, **trouble: Any) -> None:
    prove(tables, **trouble)
