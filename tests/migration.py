"""A migration that something goes wrong with, and what must hold after it whatever that was.

The four invariants of docs/reliability.md, looked at from outside: the report, the reject file, the exit code, and the
table as the engine has it, against a rendering that shares no line with the migrator.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from command import Items, Migrator, Outcome, environment, scan, through
from conftest import hide_real_aws
from oracle_madmall import comparable
from oracle_rows import Entity, Expected

TABLE = "faults"
ROW = Entity("Row", "rows", "id")
#: Where, what, and below it what to do.
ERROR = re.compile(r"^migrator: \S.*\n( {2,4}\S.*\n)+", re.MULTILINE)


class Nowhere:
    """An address where nobody listens: the discard port."""

    url = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Migration:
    """A source of its own folder, a plan, a mapping, the command and the table."""

    folder: Path
    migrator: Migrator
    door: Any  #: in front of the engine, None without one
    client: Any

    @property
    def source(self) -> Path:
        return self.folder / "source" / "shop.sqlite"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.yaml"

    @property
    def state(self) -> Path:
        return self.folder / ".migrator"

    @property
    def state_file(self) -> Path:
        return self.state / "faults" / "state.sqlite"

    def write(
        self,
        *entities: Entity,
        table: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
        sources: str | Sequence[str] = "source/shop.sqlite",
        target: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Write plan and mapping; `more` are entities as a mapping has them."""
        mapping = {
            "version": 1,
            "table": {"name": TABLE, "partition_key": "PK"} | dict(table or {}),
            "entities": {entity.name: entity.mapping() for entity in entities} | dict(more or {}),
        }
        plan = {
            "version": 1,
            "name": "faults",
            "source": sources,
            "mappings": ["mapping.yaml"],
            "target": dict(target or {}),
            "settings": {"parallelism": 1} | settings,
        }
        (self.folder / "mapping.yaml").write_text(json.dumps(mapping, ensure_ascii=False), encoding="utf-8")
        self.plan.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")

    def run(self, *options: str) -> Outcome:
        return self.migrator("run", self.plan, *options)

    def resume(self) -> Outcome:
        """Go on with the run that was cut off."""
        outcome = self.run()
        assert outcome.report.get("resumed"), (outcome.exit_code, outcome.stderr)
        return outcome

    def items(self) -> Items:
        if TABLE not in self.client.list_tables()["TableNames"]:
            return {}
        return scan(self.client, TABLE)

    def assert_holds(self, outcome: Outcome, expected: Expected) -> None:
        """I1 to I4 after a run that came to its end."""
        self.assert_holds_once(outcome, expected)
        again = self.run()
        self.assert_holds_once(again, expected)  # I4

    def assert_stopped(self, outcome: Outcome, code: str) -> None:
        """I1 and I3 after a run that could not go on."""
        assert (outcome.exit_code, outcome.report["exit_code"], outcome.report["status"]) == (3, 3, "failed")
        assert outcome.report["error"]["code"] == code
        assert said_plainly(outcome.stderr), outcome.stderr
        totals = outcome.report["totals"]
        assert totals["written"] == len(self.items())
        assert totals["rejected"] == len(rejected(outcome))
        for entity in outcome.report["entities"]:
            assert entity["items"] == entity["written"] + entity["skipped"] + entity["failed"]

    def assert_holds_once(self, outcome: Outcome, expected: Expected) -> None:
        assert outcome.exit_code == expected.exit_code, outcome.stderr  # I3
        assert "Traceback" not in outcome.stderr
        _assert_counted(outcome, expected)  # I1
        assert plain_values(self.items()) == plain_values(expected.items)  # I2


@dataclass(frozen=True)
class Waiting:
    """A run without an engine that waits its 30 seconds while other tests go on."""

    migration: Migration
    process: subprocess.Popen[str]

    def outcome(self) -> Outcome:
        """How it ends."""
        stdout, stderr = self.process.communicate(timeout=100)
        return Outcome(self.process.returncode, stdout, stderr)


def without_engine(folder: Path) -> Migration:
    """For a fixture of a module: what it starts meets none of the developer's AWS settings."""
    (folder / "source").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        hide_real_aws(patch, folder)
        return Migration(folder, through(Nowhere, folder, environment(folder)), door=None, client=None)


@contextmanager
def waiting(migration: Migration, *options: str) -> Iterator[Waiting]:
    with migration.migrator.start("run", str(migration.plan), *options) as process:
        try:
            yield Waiting(migration, process)
        finally:
            process.kill()


def _assert_counted(outcome: Outcome, expected: Expected) -> None:
    rejects = Counter(entity for entity, _, _ in expected.rejects.elements())
    for entity in outcome.report["entities"]:
        name = entity["entity"]
        assert (entity["read"], entity["rejected"]) == (expected.read[name], rejects[name])
        assert entity["items"] == entity["written"] + entity["skipped"] + entity["failed"]
    assert outcome.report["totals"]["written"] == len(expected.items)
    assert outcome.report["totals"]["failed"] == 0
    assert (
        Counter((line["entity"], json.dumps(line["row"]), line["code"]) for line in rejected(outcome))
        == expected.rejects
    )


def rejected(outcome: Outcome) -> list[dict[str, Any]]:
    """The lines of the reject file."""
    path = Path(outcome.report["rejects"])
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def said_plainly(stderr: str) -> bool:
    """Whether an error says where, what and what to do, and nothing for programmers."""
    return bool(ERROR.search(stderr)) and "Traceback" not in stderr and "this is a bug" not in stderr


def plain_values(items: Items) -> dict[Any, Any]:
    """Items as DynamoDB compares them."""
    return {key: {name: comparable(value) for name, value in item.items()} for key, item in items.items()}
