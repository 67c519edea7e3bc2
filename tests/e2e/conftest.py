"""The plans that ship, run by the real command for one test or for those of a module."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import command
from command import Items, Migrator, Outcome
from conftest import clearing_client, hide_real_aws
from door import Door
from door_faults import refuse_writes
from oracle_madmall import comparable

#: Names the tables that tests share otherwise than those of a test's own: on an engine they stand side by side.
SHARED_TABLES = {
    "ENVIRONMENT": "e2e-shared",
    "DYNAMODB_TABLE": "users-e2e-shared",
    "DYNAMODB_TABLE_NAME": "jobs-e2e-shared",
}


@dataclass(frozen=True)
class Migrated:
    """What one run of a plan left, and a client to ask it through the door."""

    migrator: Migrator
    plan: Path
    run: Outcome
    door: Door
    client: Any

    @property
    def table(self) -> str:
        """The plan's one table."""
        (name,) = {entity["table"] for entity in self.run.report["entities"]}
        return str(name)

    def table_of(self, entity: str) -> str:
        return str(self.run.entity(entity)["table"])

    def verify(self) -> Outcome:
        return self.migrator("verify", self.plan)

    def scan(self, entity: str | None = None) -> Items:
        """All items of the plan's one table, or of the entity's, by the values of the key."""
        return command.scan(self.client, self.table_of(entity) if entity else self.table)


def _run(migrator: Migrator, plan: Path, door: Door, client: Any) -> Migrated:
    run = migrator("run", plan)
    assert run.exit_code == 0, run.stderr
    return Migrated(migrator, plan, run, door, client)


@pytest.fixture
def migrate(migrator: Migrator, shipped_plan: Any, door: Door, dynamodb: Any) -> Callable[[str], Migrated]:
    """Run a plan that ships for this test alone, which may write."""
    return lambda name: _run(migrator, shipped_plan(name), door, dynamodb)


@pytest.fixture(scope="module")
def migrate_once(
    engine: str, endpoint_credentials: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Migrated]]:
    """Run a plan that ships for all tests of a module. They only read: once it ran, the door refuses every write."""
    with ExitStack() as stack:

        def migrated(name: str) -> Migrated:
            folder = tmp_path_factory.mktemp(name)
            door = stack.enter_context(Door(engine, endpoint_credentials))
            with pytest.MonkeyPatch.context() as patch:
                hide_real_aws(patch, folder)
                environment = command.environment(folder) | SHARED_TABLES
                client = stack.enter_context(clearing_client(door))
            shared = _run(command.through(door, folder, environment), command.moved_plan(name, folder), door, client)
            door.faults.append(refuse_writes)
            return shared

        yield migrated


@pytest.fixture
def plan(request: pytest.FixtureRequest, shipped_plan: Callable[..., Path]) -> Path:
    """The plan of the system that the module is about."""
    return shipped_plan(request.module.SYSTEM)


@pytest.fixture(scope="module")
def migrated(request: pytest.FixtureRequest, migrate_once: Callable[[str], Migrated]) -> Migrated:
    """The tables of the module's system, migrated once, for tests that only read."""
    return migrate_once(request.module.SYSTEM)


@pytest.fixture
def own(request: pytest.FixtureRequest, migrate: Callable[[str], Migrated]) -> Migrated:
    """The migrated tables of one test, which may write."""
    return migrate(request.module.SYSTEM)


@pytest.fixture(scope="module")
def select(request: pytest.FixtureRequest) -> Callable[..., list[Any]]:
    """The first column of what the source of the module's system answers to SQL and its parameters."""
    source = command.fixture(request.module.SYSTEM)

    def selected(sql: str, *parameters: Any) -> list[Any]:
        with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as db:
            return [row[0] for row in db.execute(sql, parameters)]

    return selected


@pytest.fixture
def run_with(
    request: pytest.FixtureRequest, migrator: Migrator, shipped_plan: Callable[..., Path], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run the module's system with more rows in its source: a table, and the row's values by column, each."""

    def run(*rows: tuple[str, Mapping[str, Any]]) -> Outcome:
        source = tmp_path / "source.sqlite"
        shutil.copy(command.fixture(request.module.SYSTEM), source)
        with closing(sqlite3.connect(source)) as db, db:
            for table, row in rows:
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        return migrator("run", shipped_plan(request.module.SYSTEM, source))

    return run


@pytest.fixture
def migrator(door: Any, dynamodb: Any, tmp_path: Path) -> Migrator:
    """The command, pointed at the strict door by the usual AWS settings; `dynamodb` clears away what it made."""
    return command.through(door, tmp_path, command.environment(tmp_path))


@pytest.fixture
def lone_migrator(tmp_path: Path) -> Migrator:
    """The command with no engine around it, for what brings its own: `--local`."""
    return Migrator(tmp_path, command.environment(tmp_path))


@pytest.fixture
def shipped_plan(tmp_path: Path) -> Callable[..., Path]:
    """A plan that ships, moved: its state folder goes with it, its source (or another) and mappings stay."""
    return lambda name, source=None: command.moved_plan(name, tmp_path, source)


@pytest.fixture
def scan(dynamodb: Any) -> Callable[[str], Items]:
    """All items of a table, by the values of its key, as in ("USER#1", "PROFILE") or ("7",)."""
    return lambda table: command.scan(dynamodb, table)


@pytest.fixture(scope="session")
def differences() -> Callable[[Mapping[Any, Any], Mapping[Any, Any]], list[str]]:
    """Item by item and attribute by attribute; [] where the two tables are equal as DynamoDB compares."""

    def found(actual: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Iterator[str]:
        yield from (f"missing {key}" for key in sorted(expected.keys() - actual.keys()))
        yield from (f"extra {key}" for key in sorted(actual.keys() - expected.keys()))
        for key in sorted(actual.keys() & expected.keys()):
            for name in sorted(actual[key].keys() | expected[key].keys()):
                got, wanted = actual[key].get(name), expected[key].get(name)
                same = got and wanted and comparable(got) == comparable(wanted)
                if not same:
                    yield f"{key}: {name} is {got}, not {wanted}"

    return lambda actual, expected: list(found(actual, expected))
