"""The real command in a process of its own, and what it left in the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Reruns of the slowest command here, on a slow machine.
COMMAND_TIMEOUT_S = 240

Items = dict[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str
    report: dict[str, Any] = field(default_factory=dict)

    def entity(self, name: str) -> dict[str, Any]:
        return next(entity for entity in self.report["entities"] if entity["entity"] == name)

    @property
    def started_at(self) -> datetime:
        return datetime.fromisoformat(self.report["started_at"])

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """The lines of the reject file."""
        return [json.loads(line) for line in Path(self.report["rejects"]).read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class Migrator:
    """`python -m migrator` against one endpoint; `prefix` stands before it, as in `setpriv … python -m migrator`."""

    folder: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()
    program: Sequence[str] = ("-m", "migrator")  #: for Python

    def __call__(self, command: str, plan: Path, *options: str) -> Outcome:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        extra = ("--report", str(report)) if command in ("run", "verify") else ()
        with self.start(*command.split(), str(plan), *options, *extra) as process:
            try:
                stdout, stderr = process.communicate(timeout=COMMAND_TIMEOUT_S)
            finally:
                process.kill()
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
        return Outcome(process.returncode, stdout, stderr, found)

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Begin the command; `more` is for Popen."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, *self.program, *arguments],
            cwd=self.folder,
            env=dict(self.environment),
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more,
        )


def through(door: Any, folder: Path, environment: Mapping[str, str]) -> Migrator:
    """Pointed at the strict door by the usual AWS settings."""
    return Migrator(folder, {**environment, "AWS_ENDPOINT_URL_DYNAMODB": door.url})


def environment(home: Path) -> dict[str, str]:
    inherited = ("PATH", "XDG_RUNTIME_DIR", *(name for name in os.environ if name.startswith("AWS_")))
    own = {"HOME": str(home), "PYTHONPATH": str(ROOT / "src"), "ENVIRONMENT": "e2e"}
    return {name: os.environ[name] for name in inherited} | own


def fixture(name: str) -> Path:
    """The source of a plan that ships."""
    return ROOT / "fixtures" / f"{name}.sqlite"


def moved_plan(name: str, folder: Path, source: Path | None = None) -> Path:
    """A plan that ships, in a folder of its own with its state; its source (or another) and mappings stay."""
    shipped = (ROOT / "plans" / f"{name}.yaml").read_text(encoding="utf-8").replace("../", f"{ROOT}/")
    if source:
        own = str(fixture(name))
        assert own in shipped
        shipped = shipped.replace(own, str(source))
    copy = folder / f"{name}.yaml"
    copy.write_text(shipped, encoding="utf-8")
    return copy


def scan(client: Any, table: str) -> Items:
    """All items of a table, by the values of its key, as in ("USER#1", "PROFILE") or ("7",)."""
    schema = client.describe_table(TableName=table)["Table"]["KeySchema"]
    names = [element["AttributeName"] for element in schema]
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    items = (item for page in pages for item in page["Items"])
    return {tuple(value for name in names for value in item[name].values()): item for item in items}
