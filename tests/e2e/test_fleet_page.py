"""The page on fleets is true: its plan and mapping, run as it says, give what it shows."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from command import ROOT, Migrator
from migrator.run.engine import run_plan
from migrator.run.plan import load_plan
from migrator.source import remote

PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
ORDERS = {"acme": 2, "beta": 3}
#: What differs from one run to the next: a run's id, and seconds.
VOLATILE = [(re.compile(r"\brun \w+-\w+ of"), "run ID of"), (re.compile(r" +\d+\.\d$", re.MULTILINE), "  SECONDS")]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The page's files, and tenants: one of them came empty."""
    for name, content in re.findall(r"^`(\S+)`:\n\n```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "tenants").mkdir()
    for name, rows in ORDERS.items():
        with closing(sqlite3.connect(tmp_path / "tenants" / f"{name}.sqlite")) as database, database:
            database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total NUMERIC)")
            database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, 10 * n) for n in range(1, rows + 1)])
    (tmp_path / "tenants" / "gamma.sqlite").touch()
    return tmp_path


def test_the_session_gives_what_it_shows(lone_migrator: Migrator, place: Path) -> None:
    ((command, shown),) = re.findall(r"^```console\n\$ migrator (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    name, plan, *options = command.split()
    told = lone_migrator(name, place / plan, *options).stdout.replace(str(place), "/srv")
    for pattern, word in VOLATILE:
        told = pattern.sub(word, told)
    assert _spaced_alike(told) == _spaced_alike(shown)


def _spaced_alike(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def test_its_report_has_the_keys_that_it_names(place: Path, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto_url)
    report = run_plan(load_plan(place / "plan.yaml"), dry_run=True).to_json()
    (told,) = re.findall(r"has an entry for each file: (.*?)They count", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) - {"null"} == set(report["source"][0])


def test_it_names_every_code_of_s3() -> None:
    failures = (value for value in vars(remote).values() if isinstance(value, remote.Failure))
    codes = {failure.code for failure in failures} - {remote.NO_ROOM.code}
    told = re.findall(r"^\| (`source_.*?) \|", PAGE, re.MULTILINE)
    assert {code for row in told for code in re.findall(r"`(\w+)`", row)} == codes
