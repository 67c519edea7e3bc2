"""A run that was stopped goes on where it was, or says what stands against it. Kills are in e2e/test_killed.py."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from door import Door
from door_faults import WRITES, deny
from migrator.errors import StoppedError
from migrator.run import fingerprint, opened, writing
from migrator.run.checkpoint import Checkpoint
from migrator.run.engine import run_plan
from migrator.run.report import RunReport
from migrator.source import fetch
from shop import Shop

ROWS = 40
SOURCE = f"""
    CREATE TABLE people (code TEXT PRIMARY KEY, name TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
    INSERT INTO people SELECT printf('c%03d', i), CASE WHEN i % 10 THEN 'Name ' || i END FROM n;
"""
BY_CODE = 'Person: {source: people, key: {PK: "{code}"}, attributes: {name: name}, columns: none}'
#: Every tenth row is rejected.
BY_NAME = 'Person: {source: people, key: {PK: "{name}"}, attributes: {code: code}, columns: none}'
Break = Callable[[Shop], dict[str, Any]]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 10)


def stopped_run(shop: Shop, door: Door, plan: Any, *, after: int = 2, **more: Any) -> RunReport:
    """A run whose writes are denied after so many of them."""
    door.faults.append(_after(after, deny(None)))
    report = run_plan(plan, **more)
    door.faults.clear()
    assert report.error is not None
    assert report.error.code == "access_denied"
    return report


def _after(times: int, fault: Any) -> Any:
    passed = 0

    def hit(request: Any, forward: Any) -> Any:
        nonlocal passed
        if request.operation in WRITES:
            passed += 1
        return (fault if passed > times else lambda request, forward: forward(request))(request, forward)

    return hit


def totals(report: RunReport) -> dict[str, Any]:
    return {name: report.totals()[name] for name in ("read", "items", "written", "skipped", "rejected", "failed")}


def reject_lines(report: RunReport) -> list[str]:
    lines = Path(report.rejects or "").read_text("utf-8").splitlines()
    return sorted(json.loads(line)["row"]["code"]["S"] for line in lines)


def state(shop: Shop) -> Path:
    return shop.folder / "state" / "shop" / "state.sqlite"


def kept_snapshots(shop: Shop) -> list[str]:
    folder = shop.folder / "state" / "shop" / "snapshots"
    return os.listdir(folder) if folder.exists() else []


# ---- going on


def test_a_stopped_run_goes_on_under_its_own_id_and_its_report_covers_the_whole(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    stopped = stopped_run(shop, door, plan)
    written = sum(door.writes.values())
    assert 0 < written < ROWS
    resumed = run_plan(plan)
    assert (resumed.run_id, resumed.started_at, resumed.resumed) == (stopped.run_id, stopped.started_at, True)
    assert totals(resumed) == totals(run_plan(plan, dry_run=True))
    assert resumed.exit_code == 1
    assert len(shop.items()) == ROWS - ROWS // 10
    assert resumed.duration_s > stopped.duration_s
    assert resumed.requests.sent > stopped.requests.sent - 1


def test_what_is_recorded_is_not_written_again(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE)
    stopped_run(shop, door, plan, after=2)
    run_plan(plan)
    assert set(door.writes.values()) == {1}
    assert len(door.writes) == ROWS


def test_each_rejected_row_stands_once_in_the_rejects_of_a_resumed_run(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    stopped = stopped_run(shop, door, plan)
    assert reject_lines(stopped)
    resumed = run_plan(plan)
    assert reject_lines(resumed) == [f"c{n:03d}" for n in range(10, ROWS + 1, 10)]


def test_a_moment_stays_what_it_was_when_the_run_began(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = shop.plan(BY_CODE, items="[{PK: S, at: {now: +0d}}]")
    with monkeypatch.context() as past:
        past.setattr("migrator.run.history.time.time", lambda: 1_700_000_000.5)
        stopped_run(shop, door, plan, after=0)
    run_plan(plan)
    assert shop.items()["S"] == {"at": "1700000000"}


def test_a_source_in_wal_mode_is_read_from_the_copy_that_the_first_part_took(shop: Shop, door: Door) -> None:
    with closing(sqlite3.connect(shop.folder / "shop.sqlite", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE other (x)")
        plan = shop.plan(BY_CODE)
        stopped_run(shop, door, plan)
        writer.execute("UPDATE people SET name = 'changed'")
        resumed = run_plan(plan)
    assert resumed.exit_code == 0
    assert {item.get("name") for item in shop.items().values()} & {"changed"} == set()
    assert kept_snapshots(shop) == []


KEYED = """
    CREATE TABLE keyed (code PRIMARY KEY, n) WITHOUT ROWID;
    INSERT INTO keyed SELECT CASE rowid % 4 WHEN 0 THEN rowid / 7.0 WHEN 1 THEN CAST(code AS BLOB) WHEN 2 THEN rowid
        ELSE CAST(x'ff' || rowid AS TEXT) END, rowid FROM people;
"""
WALKS = {
    "rowid": ("source: people", "{@rowid}"),
    "key": ("source: keyed", "{n}"),
    "query": ("source: {query: SELECT code FROM people, key: [code]}", "{code}"),
}


@pytest.mark.parametrize(("source", "key"), WALKS.values(), ids=WALKS)
def test_a_segment_is_gone_on_with_in_its_middle_however_its_rows_are_walked(
    shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch, source: str, key: str
) -> None:
    shop.source(KEYED)
    # A clock that ticks at each look ends a part after two rows.
    monkeypatch.setattr(writing, "time", SimpleNamespace(monotonic=count().__next__))
    monkeypatch.setattr(writing, "PART_S", 1)
    for size in ("FIRST_ROWS", "FETCH_ROWS"):
        monkeypatch.setattr(fetch, size, 1)
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 1_000)
    plan = shop.plan(f'Person: {{{source}, key: {{PK: "{key}"}}, columns: none}}')
    stopped_run(shop, door, plan, after=7)
    assert len(door.writes) == 14
    resumed = run_plan(plan)
    assert (resumed.exit_code, totals(resumed)["written"], len(shop.items())) == (0, ROWS, ROWS)
    assert set(door.writes.values()) == {1}


@pytest.mark.parametrize("on_existing", ["skip", "error"])
def test_an_item_that_an_earlier_part_wrote_counts_as_written(shop: Shop, door: Door, on_existing: str) -> None:
    plan = shop.plan(BY_CODE, on_existing=on_existing)
    stopped_run(shop, door, plan, after=0)
    shop.client.put_item(TableName=shop.table, Item={"PK": {"S": "c001"}, "name": {"S": "Name 1"}})
    shop.client.put_item(TableName=shop.table, Item={"PK": {"S": "c002"}, "name": {"S": "another"}})
    resumed = run_plan(plan)
    left = {"skip": "skipped", "error": "failed"}[on_existing]
    assert totals(resumed) | {left: 1, "written": ROWS - 1} == totals(resumed)


# ---- what stands against it


def _mapping(shop: Shop) -> dict[str, Any]:
    return {"plan": shop.plan(BY_CODE.replace("name: name", "n: name"))}


def _setting(shop: Shop) -> dict[str, Any]:
    return {"plan": shop.plan(BY_CODE, on_existing="skip")}


def _entities(shop: Shop) -> dict[str, Any]:
    return {"entities": ["items"]}


def _source(shop: Shop) -> dict[str, Any]:
    shop.source("UPDATE people SET name = 'changed' WHERE code = 'c040'")
    return {}


def _vacuum(shop: Shop) -> dict[str, Any]:
    shop.source("VACUUM")
    return {}


def _list_of_sources(shop: Shop) -> dict[str, Any]:
    shop.source(SOURCE, "other.sqlite")
    return {"plan": shop.plan(BY_CODE, source="other.sqlite")}


def _region(shop: Shop) -> dict[str, Any]:
    plan = shop.plan(BY_CODE)
    return {"plan": replace(plan, target=replace(plan.target, region="eu-west-1"))}


def _table_gone(shop: Shop) -> dict[str, Any]:
    shop.client.delete_table(TableName=shop.table)
    return {}


def _table_anew(shop: Shop) -> dict[str, Any]:
    shop.client.delete_table(TableName=shop.table)
    run_plan(replace(shop.plan(BY_CODE), name="another"))
    return {}


def _lost_rejects(shop: Shop) -> dict[str, Any]:
    with closing(sqlite3.connect(state(shop))) as saved, saved:
        saved.execute("UPDATE runs SET rejects_bytes = 10")
    return {}


CHANGES: dict[str, tuple[Break, str]] = {
    "mapping": (_mapping, "the mapping shop.yaml"),
    "setting": (_setting, "settings.on_existing"),
    "entities": (_entities, "the entities that are run"),
    "source": (_source, "the source "),
    "vacuum": (_vacuum, "the source "),
    "list of sources": (_list_of_sources, "the plan's list of source files"),
    "target": (_region, "the target"),
    "table gone": (_table_gone, "which is gone"),
    "table anew": (_table_anew, "which was made anew"),
    "rejects lost": (_lost_rejects, "rejects.jsonl, which has lost lines"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_a_run_does_not_go_on_with_something_else(shop: Shop, door: Door, change: Break, words: str) -> None:
    plan = shop.plan(BY_CODE, items="[{PK: S}]")
    if change in (_mapping, _setting, _list_of_sources, _region):
        plan = shop.plan(BY_CODE)
    stopped = stopped_run(shop, door, plan)
    more = {"plan": plan} | change(shop)
    door.reset()
    refused = run_plan(more.pop("plan"), **more)
    assert refused.error is not None
    assert (refused.exit_code, refused.error.code) == (3, "resume_refused")
    assert stopped.run_id in refused.error.message
    assert words in refused.error.message
    assert "--restart" in refused.error.message
    assert not door.writes
    assert not door.requests["CreateTable"]


def test_what_does_not_decide_what_is_written_may_change(shop: Shop, door: Door) -> None:
    stopped_run(shop, door, shop.plan(BY_CODE))
    plan = shop.plan(BY_CODE, batch_size=5, write_rate=1000, max_attempts=3, on_reject="stop", read_timeout="9s")
    mapping = shop.folder / "shop.yaml"
    mapping.write_text(f"# a comment\n{mapping.read_text()}")
    resumed = run_plan(plan)
    assert (resumed.resumed, resumed.exit_code) == (True, 0)


def test_another_version_of_migrator_does_not_go_on(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = shop.plan(BY_CODE)
    stopped_run(shop, door, plan)
    monkeypatch.setattr(fingerprint, "__version__", "9.9.9")
    refused = run_plan(plan)
    assert refused.error is not None
    assert "the version of migrator" in refused.error.message


def test_a_refused_resume_leaves_the_run_as_it_was(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE)
    stopped = stopped_run(shop, door, plan)
    assert run_plan(_mapping(shop)["plan"]).exit_code == 3
    resumed = run_plan(shop.plan(BY_CODE))
    assert (resumed.run_id, resumed.exit_code) == (stopped.run_id, 0)


def test_a_changed_source_begins_afresh_where_the_plan_says_so(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE, on_changed="restart")
    stopped = stopped_run(shop, door, plan)
    _source(shop)
    report = run_plan(plan)
    assert (report.resumed, report.exit_code) == (False, 0)
    assert report.run_id != stopped.run_id
    assert shop.items()["c040"] == {"name": "changed"}


def test_a_changed_mapping_is_refused_whatever_the_plan_says_of_a_changed_source(shop: Shop, door: Door) -> None:
    stopped_run(shop, door, shop.plan(BY_CODE, on_changed="restart"))
    _source(shop)
    refused = run_plan(shop.plan(BY_CODE.replace("name: name", "n: name"), on_changed="restart"))
    assert refused.error is not None
    assert refused.error.code == "resume_refused"


def test_over_the_reject_limit_a_run_does_not_creep_on(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME, max_rejects=1)
    stopped = run_plan(plan)
    assert stopped.error is not None
    assert stopped.error.code == "too_many_rejects"
    door.reset()
    again = run_plan(plan)
    assert again.error is not None
    assert again.error.code == "too_many_rejects"
    assert not door.writes
    assert run_plan(shop.plan(BY_NAME, max_rejects=4)).exit_code == 1


# ---- ends


def test_restart_gives_the_unfinished_run_up(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE)
    stopped = stopped_run(shop, door, plan)
    report = run_plan(plan, restart=True)
    assert (report.resumed, report.exit_code) == (False, 0)
    assert report.run_id != stopped.run_id
    assert kept_snapshots(shop) == []
    assert not run_plan(plan).resumed


def test_after_a_finished_run_a_new_one_begins(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    stopped_run(shop, door, plan)
    finished = run_plan(plan)
    assert finished.exit_code == 1
    following = run_plan(plan)
    assert (following.resumed, following.run_id == finished.run_id) == (False, False)


def test_little_is_kept_of_a_finished_run(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    stopped_run(shop, door, plan)
    run_plan(plan)
    with closing(sqlite3.connect(state(shop))) as saved:
        assert saved.execute("SELECT count(*) FROM segments").fetchone() == (0,)
        assert saved.execute("SELECT status FROM runs").fetchall() == [("finished",)]
    assert state(shop).stat().st_size < 64 * 1024
    assert kept_snapshots(shop) == []


def test_the_unfinished_run_outlives_all_that_are_pruned(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE, keep_runs=1)
    stopped = stopped_run(shop, door, plan)
    for _ in range(3):
        run_plan(plan, dry_run=True)
    assert stopped.run_id in os.listdir(shop.folder / "state" / "shop" / "runs")
    assert run_plan(plan).run_id == stopped.run_id


def test_a_dry_run_leaves_the_unfinished_run_alone(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE)
    stopped = stopped_run(shop, door, plan)
    before = (state(shop).read_bytes(), state(shop).stat().st_mtime_ns, kept_snapshots(shop))
    dry = run_plan(_mapping(shop)["plan"], dry_run=True)
    assert (dry.resumed, dry.exit_code, totals(dry)["written"]) == (False, 0, ROWS)
    assert (state(shop).read_bytes(), state(shop).stat().st_mtime_ns, kept_snapshots(shop)) == before
    assert run_plan(shop.plan(BY_CODE)).run_id == stopped.run_id


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, None], ids=["empty", "garbage", "torn"])
def test_a_state_file_that_cannot_be_read_is_refused_and_put_aside_by_restart(
    shop: Shop, door: Door, content: bytes | None
) -> None:
    plan = shop.plan(BY_CODE)
    stopped_run(shop, door, plan)
    spoilt = state(shop).read_bytes()[:5000] if content is None else content
    state(shop).write_bytes(spoilt)
    door.reset()
    refused = run_plan(plan)
    assert refused.error is not None
    assert (refused.exit_code, refused.error.code) == (3, "checkpoint_unreadable")
    assert str(state(shop)) in refused.error.message
    assert not door.writes
    assert run_plan(plan, restart=True).exit_code == 0
    assert [path.read_bytes() for path in state(shop).parent.glob("*.aside")] == [spoilt]


def test_no_credential_and_no_address_gets_into_the_state_file(
    shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-of-the-test")
    monkeypatch.setenv("SECRET", "pa55word")
    plan = shop.plan(BY_CODE, items="[{PK: '${SECRET}', a: {value: '${SECRET}'}}]")
    stopped_run(shop, door, plan, after=0)
    for hidden in (b"s3cr3t-of-the-test", b"pa55word", door.url.encode()):
        assert hidden not in state(shop).read_bytes()


def test_whether_a_table_was_found_empty_is_remembered(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE)
    run_plan(plan)
    run_plan(plan)
    with closing(sqlite3.connect(state(shop))) as saved:
        found = saved.execute("SELECT tables FROM runs ORDER BY rowid").fetchall()
    assert [json.loads(tables)[shop.table]["found_empty"] for (tables,) in found] == [True, False]


def test_who_may_only_write_is_not_asked_to_look(shop: Shop, door: Door) -> None:
    door.faults.append(deny(None, ["Scan"]))
    assert run_plan(shop.plan(BY_CODE)).exit_code == 0
    with closing(sqlite3.connect(state(shop))) as saved:
        (tables,) = saved.execute("SELECT tables FROM runs").fetchone()
    assert json.loads(tables)[shop.table]["found_empty"] is None


def test_a_state_file_that_cannot_be_written_any_more_stops_the_run_which_then_goes_on(
    shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, calls = Checkpoint.record, count(1)

    def full(self: Checkpoint, *given: Any) -> None:
        if next(calls) == 3:
            raise StoppedError("no room", code="state_unwritable", retryable=True)
        record(self, *given)

    plan = shop.plan(BY_NAME)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "record", full)
        stopped = run_plan(plan)
    assert stopped.error is not None
    assert (stopped.exit_code, stopped.error.code) == (3, "state_unwritable")
    resumed = run_plan(plan)
    assert totals(resumed) == totals(run_plan(plan, dry_run=True))
    assert reject_lines(resumed) == [f"c{n:03d}" for n in range(10, ROWS + 1, 10)]


# ---- what is proved of the keys


def test_what_was_proved_is_not_proved_again(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source("UPDATE people SET name = 'Name 1' WHERE code = 'c040'")
    plan = shop.plan(BY_NAME)
    stopped_run(shop, door, plan)

    def never(*_: Any) -> Any:
        raise AssertionError("rendered again")

    monkeypatch.setattr(opened, "prove_segment", never)
    resumed = run_plan(plan)
    assert totals(resumed) == totals(resumed) | {"written": 36, "rejected": 4}
    assert shop.items()["Name 1"] == {"code": "c001"}


def test_a_proof_that_cannot_be_read_is_made_again(shop: Shop, door: Door) -> None:
    shop.source("UPDATE people SET name = 'Name 1' WHERE code = 'c039'")
    plan = shop.plan(BY_NAME)
    stopped = stopped_run(shop, door, plan)
    proof = shop.folder / "state" / "shop" / "snapshots" / stopped.run_id / "proof.sqlite"
    proof.write_bytes(b"garbage" * 1000)
    resumed = run_plan(plan)
    assert totals(resumed) == totals(resumed) | {"written": 35, "rejected": 5}
