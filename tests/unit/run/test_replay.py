"""Retries: what a run left is done again, closed where it passes, and kept where it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from door import Door
from door_faults import deny
from migrator.errors import UsageError
from migrator.run import opened
from migrator.run.engine import run_plan
from migrator.run.replay import retry_plan
from migrator.run.report import RunReport
from migrator.run.results import Retried
from migrator.run.rollback import roll_back
from migrator.run.verify import verify_plan
from migrator.target.table import create_table
from shop import Shop

#: c2 and c7 have no name, c4 has one that is no text.
SOURCE = """
    CREATE TABLE people (code TEXT PRIMARY KEY, name, team TEXT);
    INSERT INTO people VALUES ('c1', 'Al', 'red'), ('c2', NULL, 'red'), ('c3', 'Bo', 'blue'), ('c4', x'00', 'blue'),
        ('c5', 'Cy', 'blue'), ('c6', 'Di', 'red'), ('c7', NULL, 'blue');
"""
BY_NAME = 'Person: {source: people, key: {PK: "{name}"}, attributes: {code: code}, columns: none}'
BY_TEAM = 'Person: {source: people, key: {PK: "{team}"}, attributes: {code: code}, columns: none}'


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 3)


def totals(report: RunReport) -> tuple[float, ...]:
    return tuple(report.totals()[name] for name in ("read", "written", "rejected", "failed"))


def outcome(report: RunReport) -> tuple[int, int, int, int]:
    """Sought, closed, gone, left."""
    assert report.error is None
    assert report.retry is not None
    return report.retry.sought, report.retry.closed, report.retry.gone, report.retry.left


def lines(path: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path or "").read_text("utf-8").splitlines()]


def codes(report: RunReport) -> dict[str, str]:
    """Source key of each rejected row of a run -> why."""
    return {line["row"]["code"]["S"]: line["code"] for line in lines(report.rejects)}


# ---- rejected rows


def test_rows_that_were_mended_are_written_and_closed(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    assert codes(run) == {"c2": "null_key", "c4": "blob_in_template", "c7": "null_key"}
    shop.source("UPDATE people SET name = 'Ed' WHERE code = 'c2'")
    retry = retry_plan(plan)
    assert (outcome(retry), retry.exit_code) == ((3, 1, 0, 2), 1)
    assert totals(retry) == (3, 1, 2, 0)
    assert shop.items()["Ed"] == {"code": "c2"}
    assert codes(run) == {"c4": "blob_in_template", "c7": "null_key"}


def test_nothing_is_written_but_what_was_left(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    door.writes.clear()
    shop.source("UPDATE people SET name = 'Ed' WHERE code = 'c2'")
    retry_plan(plan)
    assert sum(door.writes.values()) == 1


def test_a_second_retry_sees_the_rest_alone(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    shop.source("UPDATE people SET name = 'Ed' WHERE code = 'c2'")
    retry_plan(plan)
    shop.source("UPDATE people SET name = 'Flo ' || code WHERE code IN ('c4', 'c7')")
    second = retry_plan(plan)
    assert (outcome(second), second.exit_code, second.status) == ((2, 2, 0, 0), 0, "succeeded")
    assert verify_plan(plan).exit_code == 0
    third = retry_plan(plan)
    assert (third.retry, third.exit_code) == (Retried(third.retry.run_id if third.retry else None), 0)
    assert "nothing to retry" in third.to_text()


def test_a_mapping_edited_since_closes_what_it_lets_pass(shop: Shop) -> None:
    run = run_plan(shop.plan(BY_NAME))
    edited = BY_NAME.replace('"{name}"', """'{name|default("nobody")}'""")
    retry = retry_plan(shop.plan(edited))
    # c2 takes the key that c7 would give too.
    assert codes(run) == {"c4": "blob_in_template", "c7": "duplicate_key"}
    assert outcome(retry) == (3, 1, 0, 2)
    assert shop.items()["nobody"] == {"code": "c2"}


def test_what_still_fails_stays_with_its_new_reason(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    shop.source("UPDATE people SET name = '' WHERE code = 'c2'")
    retry_plan(plan)
    assert codes(run)["c2"] == "empty_key"


def test_rows_that_are_gone_are_closed_and_counted(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    shop.source("DELETE FROM people WHERE code IN ('c2', 'c4')")
    retry = retry_plan(plan)
    assert outcome(retry) == (3, 2, 2, 1)
    assert codes(run) == {"c7": "null_key"}
    assert "2 of the rows are not in their sources" in caplog.text


def test_a_dry_run_says_what_a_retry_would_do_and_does_none_of_it(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    door.writes.clear()
    shop.source("UPDATE people SET name = 'Ed' WHERE code = 'c2'")
    dry = retry_plan(plan, dry_run=True)
    assert (outcome(dry), totals(dry), dry.exit_code) == ((3, 1, 0, 2), (3, 1, 2, 0), 1)
    assert not door.writes
    assert sorted(codes(run)) == ["c2", "c4", "c7"]
    assert sorted(codes(dry)) == ["c4", "c7"]
    assert outcome(retry_plan(plan)) == outcome(dry)


# ---- one key from two rows


def test_a_duplicate_stays_rejected_while_the_first_row_holds_the_key(shop: Shop) -> None:
    plan = shop.plan(BY_TEAM)
    run = run_plan(plan)
    assert set(codes(run).values()) == {"duplicate_key"}
    before = shop.items()
    retry = retry_plan(plan)
    assert outcome(retry) == (5, 0, 0, 5)
    assert shop.items() == before
    assert any('"c1"' in line["detail"] for line in lines(run.rejects))  # segments end in any order


def test_a_duplicate_passes_once_the_first_row_is_gone(shop: Shop) -> None:
    plan = shop.plan(BY_TEAM)
    run = run_plan(plan)
    shop.source("DELETE FROM people WHERE code = 'c1'")
    assert outcome(retry_plan(plan)) == (5, 1, 0, 4)
    assert shop.items() == {"red": {"code": "c2"}, "blue": {"code": "c3"}}
    assert sorted(codes(run)) == ["c4", "c5", "c6", "c7"]


def test_a_row_that_loses_its_key_to_one_that_now_passes_is_left_in_its_stead(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    shop.source("UPDATE people SET name = 'Bo' WHERE code = 'c2'")
    retry = retry_plan(plan)
    assert shop.items()["Bo"] == {"code": "c2"}
    assert codes(run) == {"c3": "duplicate_key", "c4": "blob_in_template", "c7": "null_key"}
    assert (outcome(retry), totals(retry)) == ((3, 1, 0, 3), (4, 1, 3, 0))


# ---- sources of every kind


KEYS: dict[str, tuple[str, str]] = {
    "rowid": ("CREATE TABLE people (name)", "people"),
    "integer key": ("CREATE TABLE people (id INTEGER PRIMARY KEY, name)", "people"),
    "without rowid": ("CREATE TABLE people (id REAL, x, name, PRIMARY KEY (id, x)) WITHOUT ROWID", "people"),
    "view with no key": ("CREATE TABLE t (name); CREATE VIEW people AS SELECT rowid AS n, name FROM t", "people"),
    "query": ("CREATE TABLE people (name)", "{query: 'SELECT rowid AS n, name FROM people', key: [n]}"),
}


@pytest.mark.parametrize(("schema", "source"), KEYS.values(), ids=KEYS)
def test_rows_are_found_again_in_a_source_of_any_kind(shop: Shop, schema: str, source: str) -> None:
    shop.source(f"DROP TABLE people; {schema};")
    table, columns = ("t", "name") if "VIEW" in schema else ("people", "name")
    values = "'Al'), (x'01'), ('Bo'), (x'02'), ('Cy'), (x'03'"
    if "WITHOUT ROWID" in schema:
        columns = "id, x, name"
        values = "1.5, x'01', 'Al'), (1.5, '\x01', x'01'), (2, 'ü', 'Bo'), (2, x'', x'02'), (3, 1, 'Cy'), (3, 2, x'03'"
    shop.source(f"INSERT INTO {table} ({columns}) VALUES ({values});")
    entity = f'Person: {{source: {source}, key: {{PK: "{{name}}"}}, columns: none}}'
    run = run_plan(shop.plan(entity))
    assert len(lines(run.rejects)) == 3
    retry = retry_plan(shop.plan(entity.replace("{name}", "{name|hex}")))
    assert (outcome(retry), totals(retry)) == ((3, 3, 0, 0), (3, 3, 0, 0))
    assert sorted(shop.items()) == ["01", "02", "03", "Al", "Bo", "Cy"]


def test_a_row_is_found_by_a_key_that_is_not_utf_8(shop: Shop) -> None:
    shop.source(
        "DELETE FROM people; INSERT INTO people VALUES (CAST(x'61ff' AS TEXT), NULL, 'a'), (x'61ff', 'Al', 'b')"
    )
    plan = shop.plan(BY_NAME.replace("{code: code}", "{team: team}"))
    run = run_plan(plan)
    assert [line["row"] for line in lines(run.rejects)] == [{"code": {"hex": "61ff"}}]
    shop.source("UPDATE people SET name = 'Ed' WHERE team = 'a'")
    assert (totals(retry_plan(plan)), sorted(shop.items())) == ((1, 1, 0, 0), ["Al", "Ed"])


def test_rows_are_of_the_file_that_they_were_in(shop: Shop) -> None:
    shop.source("DELETE FROM people WHERE code <> 'c2'")
    shop.source(SOURCE.replace("'c2', NULL", "'c2', 'Ed'").replace("c4', x'00'", "c4', 'Flo'"), "two.sqlite")
    plan = shop.plan(BY_NAME, source="[shop.sqlite, two.sqlite]")
    run = run_plan(plan)
    assert sorted(Path(line["file"]).name for line in lines(run.rejects)) == ["shop.sqlite", "two.sqlite"]
    shop.source("UPDATE people SET name = 'Gus' WHERE code = 'c2'")
    assert (outcome(retry_plan(plan)), totals(retry_plan(plan))) == ((2, 1, 0, 1), (1, 0, 1, 0))
    assert shop.items()["Gus"] == {"code": "c2"}
    assert [Path(line["file"]).name for line in lines(run.rejects)] == ["two.sqlite"]


def test_children_come_with_their_parent(shop: Shop) -> None:
    shop.source("CREATE TABLE pets (owner TEXT, pet TEXT); INSERT INTO pets VALUES ('c2', 'cat'), ('c1', 'dog');")
    pets = "pets: {list: {source: pets, match: {owner: code}, value: pet}}"
    plan = shop.plan(BY_NAME.replace("{code: code}", f"{{{pets}}}"))
    run_plan(plan)
    shop.source("UPDATE people SET name = 'Ed' WHERE code = 'c2'")
    retry_plan(plan)
    assert shop.items()["Ed"] == {"pets": [{"S": "cat"}]}


# ---- failed items


def test_failed_items_name_their_rows_which_are_rendered_anew(shop: Shop) -> None:
    shop.source("DELETE FROM people WHERE name IS NULL OR code = 'c4'")
    plan = shop.plan(BY_NAME, on_existing="error")
    create_table(shop.client, plan.mappings[0].table)
    shop.client.put_item(TableName=shop.table, Item={"PK": {"S": "Bo"}, "code": {"S": "theirs"}})
    run = run_plan(plan)
    (line,) = lines(run.failed)
    assert (line["row"], line["source"], Path(line["file"]).name) == ({"code": {"S": "c3"}}, "people", "shop.sqlite")
    again = retry_plan(plan)
    assert (outcome(again), totals(again)) == ((1, 0, 0, 1), (1, 0, 0, 1))
    shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": "Bo"}})
    shop.source("UPDATE people SET name = 'Bob' WHERE code = 'c3'")
    retry = retry_plan(plan)
    assert (outcome(retry), totals(retry), retry.exit_code) == ((1, 1, 0, 0), (1, 1, 0, 0), 0)
    assert shop.items() == {"Al": {"code": "c1"}, "Bob": {"code": "c3"}, "Cy": {"code": "c5"}, "Di": {"code": "c6"}}
    assert lines(run.failed) == []


def test_a_failed_item_whose_row_is_rejected_by_now_moves_to_the_reject_file(shop: Shop) -> None:
    plan = shop.plan(BY_NAME, on_existing="error")
    first = run_plan(plan)
    assert codes(first)
    shop.source("UPDATE people SET code = code || 'x' WHERE code = 'c3'")
    run = run_plan(plan)
    assert [line["row"]["code"]["S"] for line in lines(run.failed)] == ["c3x"]
    shop.source("UPDATE people SET name = NULL WHERE code = 'c3x'")
    assert totals(retry_plan(plan)) == (4, 0, 4, 0)
    assert lines(run.failed) == []
    assert codes(run)["c3x"] == "null_key"


def test_a_fixed_item_that_failed_is_sent_again(shop: Shop) -> None:
    plan = shop.plan(BY_NAME, items="[{PK: STATUS, at: {now: +0d}}, {PK: OTHER}]")
    run_plan(plan)
    shop.client.put_item(TableName=shop.table, Item={"PK": {"S": "STATUS"}, "at": {"S": "theirs"}})
    careful = shop.plan(BY_NAME, items="[{PK: STATUS, at: {now: +0d}}, {PK: OTHER}]", on_existing="error")
    run = run_plan(careful)
    assert [(line["entity"], line["row"], line["key"]) for line in lines(run.failed)] == [
        ("items", None, {"PK": {"S": "STATUS"}})
    ]
    shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": "STATUS"}})
    retry = retry_plan(careful)
    assert {e.entity: (e.read, e.written) for e in retry.entities} == {"items": (0, 1), "Person": (3, 0)}
    assert shop.items()["STATUS"] == {"at": str(int(run.started_at.timestamp()))}


# ---- which run, and what stands against a retry


def test_without_a_run_there_is_nothing_to_retry(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan, dry_run=True)
    retry = retry_plan(plan)
    assert (retry.retry, retry.exit_code) == (Retried(None), 0)
    assert "nothing to retry" in retry.to_text()


def test_a_dry_run_and_a_retry_are_no_last_run(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    retry_plan(plan)
    run_plan(plan, dry_run=True)
    retry = retry_plan(plan)
    assert retry.retry is not None
    assert retry.retry.run_id == run.run_id


def test_a_run_whose_files_were_removed_cannot_be_retried(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    shutil.rmtree(Path(run.rejects or "").parent)
    with pytest.raises(UsageError, match=run.run_id):
        retry_plan(plan)


def test_a_run_that_was_rolled_back_is_not_retried(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    assert roll_back(plan, run.run_id).exit_code == 0
    assert retry_plan(plan).retry == Retried(None)


def test_the_report_goes_to_a_file_too_also_where_there_was_nothing_to_do(shop: Shop, tmp_path: Path) -> None:
    plan = shop.plan(BY_NAME)
    retry = retry_plan(plan, report_file=tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (written["run_id"], written["retry"]["sought"]) == (retry.run_id, 0)
    assert not (shop.folder / "state" / "shop").exists()


def test_an_unfinished_run_is_to_be_ended_first(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    door.faults.append(deny(None))
    stopped = run_plan(plan)
    door.faults.clear()
    assert stopped.error is not None
    retry = retry_plan(plan)
    assert retry.error is not None
    assert (retry.error.code, retry.exit_code) == ("run_unfinished", 3)


def test_a_retry_that_is_stopped_closes_nothing_that_it_did_not_do(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    shop.source("UPDATE people SET name = 'Ed' WHERE code = 'c2'")
    door.faults.append(deny(None))
    stopped = retry_plan(plan)
    door.faults.clear()
    assert stopped.error is not None
    assert stopped.error.code == "access_denied"
    assert {"c2"} <= set(codes(run))
    assert retry_plan(plan).exit_code == 1
    assert shop.items()["Ed"] == {"code": "c2"}
    assert sorted(codes(run)) == ["c4", "c7"]


LOST: dict[str, Callable[[Shop], Any]] = {
    "Person": lambda shop: shop.plan(BY_NAME.replace("Person:", "Human:")),
    "shop.sqlite": lambda shop: shop.plan(BY_NAME, source="other.sqlite"),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_plan_that_lost_an_entity_or_a_source_is_refused_and_nothing_is_closed(shop: Shop, lost: str) -> None:
    run = run_plan(shop.plan(BY_NAME))
    shop.source(SOURCE, "other.sqlite")
    with pytest.raises(UsageError, match=lost):
        retry_plan(LOST[lost](shop))
    assert sorted(codes(run)) == ["c2", "c4", "c7"]


def test_a_damaged_line_stops_the_retry_and_is_named(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    path = Path(run.rejects or "")
    path.write_bytes(path.read_bytes()[:-20])
    retry = retry_plan(plan)
    assert retry.error is not None
    assert retry.error.code == "dead_letters_unreadable"
    assert f"{path}: line 3" in retry.error.message


def test_a_table_that_is_gone_is_not_made_anew(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    shop.client.delete_table(TableName=shop.table)
    retry = retry_plan(plan)
    assert retry.error is not None
    assert retry.error.code == "table_missing"


def test_a_table_that_was_made_anew_is_not_given_the_leftovers_alone(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    shop.client.delete_table(TableName=shop.table)
    create_table(shop.client, plan.mappings[0].table)
    retry = retry_plan(plan)
    assert retry.error is not None
    assert retry.error.code == "table_changed"
    assert shop.items() == {}


def test_a_table_that_the_run_did_not_write_to_is_not_given_the_leftovers(shop: Shop) -> None:
    run_plan(shop.plan(BY_NAME))
    first, shop.table = shop.table, f"{shop.table}-2"
    plan = shop.plan(BY_NAME)
    create_table(shop.client, plan.mappings[0].table)
    retry = retry_plan(plan)
    assert retry.error is not None
    assert (retry.error.code, shop.items()) == ("table_changed", {})
    shop.client.delete_table(TableName=first)


def test_the_run_is_kept_however_often_it_is_retried(shop: Shop) -> None:
    plan = shop.plan(BY_NAME, keep_runs=2)
    run = run_plan(plan)
    for _ in range(4):
        retry_plan(plan)
    assert sorted(codes(run)) == ["c2", "c4", "c7"]
