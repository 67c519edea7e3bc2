"""The real command in a process of its own, and what it left in the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oracle_madmall import comparable

ROOT = Path(__file__).parents[2]
#: Reruns of the slowest command here, on a slow machine.
COMMAND_TIMEOUT_S = 240


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str
    report: dict[str, Any] = field(default_factory=dict)

    def entity(self, name: str) -> dict[str, Any]:
        return next(entity for entity in self.report["entities"] if entity["entity"] == name)


@dataclass(frozen=True)
class Migrator:
    """`python -m migrator` against one endpoint."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, command: str, plan: Path, *options: str) -> Outcome:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        extra = ("--report", str(report)) if command in ("run", "verify") else ()
        done = subprocess.run(
            [sys.executable, "-m", "migrator", command, str(plan), *options, *extra],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
        return Outcome(done.returncode, done.stdout, done.stderr, found)


@pytest.fixture
def migrator(door: Any, dynamodb: Any, tmp_path: Path) -> Migrator:
    """The command, pointed at the strict door by the usual AWS settings; `dynamodb` clears away what it made."""
    inherited = ("PATH", "XDG_RUNTIME_DIR", *(name for name in os.environ if name.startswith("AWS_")))
    environment = {name: os.environ[name] for name in inherited} | {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / "src"),
        "AWS_ENDPOINT_URL_DYNAMODB": door.url,
        "ENVIRONMENT": "e2e",
    }
    return Migrator(tmp_path, environment)


@pytest.fixture
def scan(dynamodb: Any) -> Callable[[str], dict[tuple[str, str], dict[str, Any]]]:
    """All items of a table, by (PK, SK)."""

    def items(table: str) -> Iterator[dict[str, Any]]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            yield from page["Items"]

    return lambda table: {(item["PK"]["S"], item["SK"]["S"]): item for item in items(table)}


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
