"""Runs by way of files that are killed, and then run again: each item is in the files once, and imported once."""

from __future__ import annotations

import gzip
import json
import signal
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from command import Migrator, Outcome, environment, scan
from conftest import new_client
from cut_off import in_short_segments, running

ROWS = 1_000
BUCKET = "faults"
PLAN = Path("plan.yaml")
MAPPING_TEXT = """\
version: 1
table: {name: %s, partition_key: PK, time_to_live: ttl}
entities:
  Row: {source: rows, key: {PK: "R#{code}"}, attributes: {text: text}, columns: none}
"""


@dataclass(frozen=True)
class Project:
    """1,000 rows: every 50th has no key, and the last two have that of the first, one with its text."""

    folder: Path
    url: str
    table: str

    @property
    def migrator(self) -> Migrator:
        endpoints = {f"AWS_ENDPOINT_URL_{service}": self.url for service in ("DYNAMODB", "S3", "CLOUDWATCH_LOGS")}
        return Migrator(self.folder, environment(self.folder) | endpoints)

    @property
    def bucket(self) -> str:
        return f"s3://{BUCKET}/{self.table}"

    def expected(self) -> dict[str, str]:
        return {f"R#{n}": f"text {n}" for n in range(1, ROWS - 1) if n % 50}

    def write(self, parallelism: int) -> None:
        plan = f"name: via\nsource: rows.sqlite\nmappings: [mapping.yaml]\nsettings: {{parallelism: {parallelism}}}\n"
        (self.folder / PLAN).write_text(plan)

    def killed(self, via: str, patch: str) -> None:
        with running(in_short_segments(self.migrator, patch), "run", str(PLAN), "--via", via) as process:
            assert process.wait(60) == -signal.SIGKILL

    def run(self, via: str) -> Outcome:
        return in_short_segments(self.migrator)("run", PLAN, "--via", via)

    def files(self) -> list[Path]:
        return sorted((self.folder / "out").rglob("*.json.gz"))

    def in_files(self) -> dict[str, str]:
        lines = [
            json.loads(line)["Item"]
            for file in self.files()
            for line in gzip.decompress(file.read_bytes()).splitlines()
        ]
        found = {item["PK"]["S"]: item["text"]["S"] for item in lines}
        assert len(found) == len(lines), "an item is there twice"
        return found

    def assert_counted(self, outcome: Outcome) -> None:
        assert outcome.exit_code == 1, outcome.stderr
        wanted = {"read": ROWS, "items": ROWS - 20, "written": ROWS - 21, "skipped": 1, "rejected": 20, "failed": 0}
        assert outcome.report["totals"] == outcome.report["totals"] | wanted
        lines = Path(outcome.report["rejects"]).read_text().splitlines()
        assert len(lines) == len(set(lines)) == 20


@pytest.fixture
def project(tmp_path: Path, aws_url: str) -> Iterator[Project]:
    project = Project(tmp_path, aws_url, f"via-{uuid.uuid4().hex}")
    project.write(parallelism=1)
    (tmp_path / "mapping.yaml").write_text(MAPPING_TEXT % project.table)
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as db, db:
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, code INTEGER, text TEXT)")
        rows = [(n, n if n % 50 else None, f"text {n}") for n in range(1, ROWS - 1)]
        db.executemany("INSERT INTO rows VALUES (?, ?, ?)", [*rows, (ROWS - 1, 1, "text 1"), (ROWS, 1, "other")])
    boto3.client("s3", endpoint_url=aws_url).create_bucket(Bucket=BUCKET)
    client = new_client(aws_url)
    try:
        yield project
    finally:
        if project.table in client.list_tables()["TableNames"]:
            client.delete_table(TableName=project.table)
        client.close()


FOLDER = {
    "a file in its place and not recorded": "Checkpoint.record = dying('record', 2, True)",
    "a file recorded": "Checkpoint.record = dying('record', 4, False)",
    "everything recorded and not ended": "Checkpoint.end = kill",
}


@pytest.mark.parametrize("patch", FOLDER.values(), ids=FOLDER)
@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_killed_run_goes_on_to_files_with_each_item_once(project: Project, patch: str, parallelism: int) -> None:
    project.write(parallelism)
    project.killed("out", patch)
    outcome = project.run("out")
    assert outcome.report["resumed"]
    project.assert_counted(outcome)
    assert project.in_files() == project.expected()


@pytest.mark.parametrize("files", [1, 4, 8])
def test_a_run_that_is_killed_or_terminated_at_any_moment_goes_on(project: Project, files: int) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        slow = "write = writing.open_sink\nimport time\nwriting.open_sink = lambda *a: (time.sleep(0.1), write(*a))[1]"
        before = len(project.files())
        with running(in_short_segments(project.migrator, slow), "run", str(PLAN), "--via", "out") as process:
            give_up = time.monotonic() + 60
            while process.poll() is None and len(project.files()) < min(before + files, 9):
                assert time.monotonic() < give_up, "no file is written"
                time.sleep(0.01)
            process.send_signal(number)
            process.wait(30)
    outcome = project.run("out")
    project.assert_counted(outcome)
    assert project.in_files() == project.expected()


BUCKETS = {
    "a file in its place and not recorded": "Checkpoint.record = dying('record', 2, True)",
    "all files in their place and no import begun": "from migrator.target.imports import Imports; Imports.begin = kill",
    "the import begun": "from migrator.target.imports import Imports; Imports.watch = kill",
    "the import through": "from migrator.run import via; via.complete_imported = kill",
    "all done and not ended": "Checkpoint.end = kill",
}


@pytest.mark.parametrize("patch", BUCKETS.values(), ids=BUCKETS)
def test_a_run_that_is_killed_around_its_import_goes_on_to_the_same_table(project: Project, patch: str) -> None:
    project.killed(project.bucket, patch)
    outcome = project.run(project.bucket)
    assert outcome.report["resumed"]
    project.assert_counted(outcome)
    found = scan(new_client(project.url), project.table)
    assert {key: item["text"]["S"] for (key,), item in found.items()} == project.expected()
    assert project.migrator("verify", PLAN).exit_code == 0


def test_what_a_killed_worker_left_half_written_is_removed(project: Project) -> None:
    """It is hidden, and an upload of the folder would take it along."""
    project.killed("out", FOLDER["a file recorded"])
    part = project.files()[0].with_name(".000009-0.json.gz.4711.part")
    part.write_bytes(b"half")
    project.run("out")
    assert not part.exists()


def assert_refused(outcome: Outcome, words: str) -> None:
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, "resume_refused")
    assert words in outcome.stderr


def test_a_run_goes_on_by_the_way_that_it_began_with_or_not_at_all(project: Project) -> None:
    project.killed("out", FOLDER["a file recorded"])
    assert_refused(project.run("elsewhere"), "--via")
    assert_refused(in_short_segments(project.migrator)("run", PLAN), "--via")


def test_a_run_whose_files_are_gone_does_not_go_on(project: Project) -> None:
    project.killed("out", FOLDER["a file recorded"])
    project.files()[0].unlink()
    assert_refused(project.run("out"), "1 of its files are gone")


def test_a_run_among_whose_files_are_others_does_not_go_on(project: Project) -> None:
    project.killed("out", FOLDER["a file recorded"])
    project.files()[0].with_name("notes.txt").write_text("mine")
    assert_refused(project.run("out"), "other files than its own")


def test_an_imported_run_is_not_rolled_back_but_says_how(project: Project) -> None:
    run_id: Any = project.run(project.bucket).report["run_id"]
    outcome = project.migrator("rollback", PLAN, "--run", run_id)
    assert outcome.exit_code == 2
    assert "Delete the table that was imported" in outcome.stderr


def test_a_retry_writes_to_the_imported_table_what_was_rejected(project: Project) -> None:
    project.run(project.bucket)
    with closing(sqlite3.connect(project.folder / "rows.sqlite")) as db, db:
        db.execute("UPDATE rows SET code = id WHERE code IS NULL")
    outcome = project.migrator("retry", PLAN)
    assert outcome.exit_code == 1, outcome.stderr  # the duplicate is left
    assert len(scan(new_client(project.url), project.table)) == ROWS - 2
