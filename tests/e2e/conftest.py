"""The real command in a process of its own, and what it left in the table."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: Reruns of the slowest command here, on a slow machine.
COMMAND_TIMEOUT_S = 240


def load_module(path: Path) -> ModuleType:
    """A plain file beside the tests; importmode=importlib leaves sys.path alone."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


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
def migrator(door: Any, tmp_path: Path) -> Migrator:
    """The command, pointed at the strict door by the usual AWS settings and nothing else."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUTF8": "1",
        "AWS_ENDPOINT_URL_DYNAMODB": door.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
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
def madmall_oracle() -> ModuleType:
    return load_module(ROOT / "tests" / "oracle_madmall.py")


@pytest.fixture(scope="session")
def chinook_oracle() -> ModuleType:
    return load_module(ROOT / "tests" / "chinook" / "oracle_chinook.py")


@pytest.fixture(scope="session")
def differences(madmall_oracle: ModuleType) -> Callable[[Mapping[Any, Any], Mapping[Any, Any]], list[str]]:
    """Item by item and attribute by attribute; [] where the two tables are equal as DynamoDB compares."""

    def found(actual: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Iterator[str]:
        yield from (f"missing {key}" for key in sorted(expected.keys() - actual.keys()))
        yield from (f"extra {key}" for key in sorted(actual.keys() - expected.keys()))
        for key in sorted(actual.keys() & expected.keys()):
            for name in sorted(actual[key].keys() | expected[key].keys()):
                got, wanted = actual[key].get(name), expected[key].get(name)
                same = got and wanted and madmall_oracle.comparable(got) == madmall_oracle.comparable(wanted)
                if not same:
                    yield f"{key}: {name} is {got}, not {wanted}"

    return lambda actual, expected: list(found(actual, expected))
