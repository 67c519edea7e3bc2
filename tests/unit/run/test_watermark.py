"""Runs that read only what a column says is new, and what they may not miss for that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import UsageError
from migrator.run import engine
from migrator.run.engine import run_plan
from migrator.run.report import RunReport
from migrator.run.watermark import Clock
from shop import Shop, open_shop

BEGIN = 1_700_000_000
PEOPLE = f"""
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, updated_at);
CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
INSERT INTO people SELECT i, 'name ' || i, {BEGIN} + i * 100 FROM n;
INSERT INTO pets VALUES (1, 1, 'Rex');
"""
PERSON = "Person: {source: people, key: {PK: 'PERSON#{id}'}, attributes: {name: name}, columns: none}"
PET = "Pet: {source: pets, key: {PK: 'PET#{id}'}, attributes: {name: name}, columns: none}"


@pytest.fixture
def shop(tmp_path: Path, moto_url: str) -> Iterator[Shop]:
    with open_shop(tmp_path, moto_url, PEOPLE) as shop:
        yield shop


def run(shop: Shop, *entities: str, overlap: str = "0s", **options: Any) -> RunReport:
    incremental = {"watermark": {"column": "updated_at", "overlap": overlap}}
    return run_plan(shop.plan(*(entities or (PERSON,)), incremental=incremental), **options)


def read(report: RunReport) -> float:
    assert report.error is None, report.error
    return report.totals()["read"]


def test_only_rows_are_read_that_are_not_older_than_the_newest(shop: Shop) -> None:
    assert read(run(shop)) == 20
    assert read(run(shop)) == 1  # a tie may be a row that was not there before
    shop.source(f"INSERT INTO people VALUES (21, 'tie', {BEGIN} + 2000), (22, 'late', {BEGIN} + 1950)")
    shop.source(f"UPDATE people SET name = 'Ada', updated_at = {BEGIN} + 3000 WHERE id = 3")
    assert read(run(shop)) == 3
    assert (shop.items()["PERSON#3"], "PERSON#22" in shop.items()) == ({"name": "Ada"}, False)


def test_what_was_committed_late_lies_in_the_overlap(shop: Shop) -> None:
    run(shop)
    shop.source(f"INSERT INTO people VALUES (22, 'late', {BEGIN} + 1950)")
    assert read(run(shop, overlap="100s")) == 3
    assert "PERSON#22" in shop.items()


@pytest.mark.parametrize(
    "moment",
    [
        "{s}",
        "{s} * 1000",
        "julianday({s}, 'unixepoch')",
        "datetime({s}, 'unixepoch')",
        "strftime('%Y-%m-%dT%H:%M:%SZ', {s}, 'unixepoch')",
    ],
)
def test_a_moment_may_be_written_in_any_way_that_the_filters_know(shop: Shop, moment: str) -> None:
    shop.source(f"UPDATE people SET updated_at = {moment.format(s='updated_at')}")
    run(shop)
    assert read(run(shop)) == 1


def test_a_row_from_the_future_hides_none_and_rows_without_a_moment_are_always_read(shop: Shop) -> None:
    shop.source("UPDATE people SET updated_at = NULL WHERE id = 1; UPDATE people SET updated_at = 'soon' WHERE id = 2")
    shop.source(f"INSERT INTO people VALUES (30, 'future', {int(time.time())} + 100000)")
    run(shop)
    shop.source(f"INSERT INTO people VALUES (31, 'now', {int(time.time())} + 1)")
    assert read(run(shop)) == 4


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (f"UPDATE people SET updated_at = {BEGIN} WHERE id > 10", "the column went back"),
        ("UPDATE people SET updated_at = NULL", "there is no moment any more"),
    ],
)
def test_everything_is_read_where_the_mark_says_nothing(shop: Shop, statement: str, why: str) -> None:
    run(shop)
    shop.source(statement)
    assert read(run(shop)) == 20, why


def test_everything_is_read_once_after_the_clock_went_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run(shop)
    now = Clock.read()
    back = Clock(now.now_s - 1000, now.since_boot_s, now.boot)
    monkeypatch.setattr(engine.Clock, "read", lambda: back)
    assert read(run(shop, overlap="2000s")) == 20, "the overlap reaches over all of them"
    run(shop)
    monkeypatch.setattr(engine.Clock, "read", lambda: Clock(back.now_s - 1000, back.since_boot_s, back.boot))
    assert read(run(shop, overlap="10s")) == 20
    assert read(run(shop, overlap="10s")) == 1


@pytest.mark.parametrize(
    ("boot", "now_s", "back"), [("a", 900, True), ("a", 995, False), ("b", 999, True), ("b", 1001, False)]
)
def test_a_clock_that_was_put_back_is_seen(boot: str, now_s: float, back: bool) -> None:
    assert Clock(now_s, 50, boot).went_back(Clock(1000, 50, "a"), overlap_s=10) == back


def test_another_mapping_or_table_or_a_restart_reads_everything(shop: Shop) -> None:
    run(shop)
    assert read(run(shop, PERSON.replace("name: name", "name: name|upper"))) == 20
    run(shop)
    assert read(run(shop, restart=True)) == 20
    shop.client.delete_table(TableName=shop.table)
    assert read(run(shop)) == 20


def test_an_entity_without_the_column_is_read_whole_and_that_is_told(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    run(shop, PERSON, PET)
    shop.source("UPDATE pets SET name = 'Max'")
    assert read(run(shop, PERSON, PET)) == 2
    assert shop.items()["PET#1"] == {"name": "Max"}
    assert "Pet: its source has no column updated_at" in caplog.text
    assert "rows that are gone are not seen" in caplog.text


def test_a_column_that_no_source_has_is_a_mistake(shop: Shop) -> None:
    with pytest.raises(UsageError, match='no source has a column "updated_at"'):
        run(shop, PET)


def test_the_mark_does_not_pass_over_a_row_that_was_rejected(shop: Shop) -> None:
    person = PERSON.replace("name: name", "name: name|number")
    shop.source("UPDATE people SET name = id; UPDATE people SET name = 'x' WHERE id = 3")
    assert run(shop, person).totals()["rejected"] == 1
    shop.source("UPDATE people SET name = 3 WHERE id = 3")
    assert read(run(shop, person)) == 20
    assert read(run(shop, person)) == 1
    assert len(shop.items()) == 20


def test_a_key_that_an_unread_row_has_is_not_taken(shop: Shop) -> None:
    person = "Person: {source: people, key: {PK: '{name}'}, attributes: {id: id}, columns: none}"
    run(shop, person)
    shop.source(f"INSERT INTO people VALUES (40, 'name 3', {BEGIN} + 9000)")
    assert run(shop, person).totals()["rejected"] == 1
    assert shop.items()["name 3"] == {"id": "3"}
