"""The list of past runs: those that ended, those that were cut off or are running, and what is damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from door import Door
from door_faults import deny
from migrator.errors import UsageError
from migrator.run.engine import run_plan
from migrator.run.lock import plan_lock
from migrator.run.replay import retry_plan
from migrator.run.rollback import roll_back
from migrator.run.runs import past_runs
from shop import Shop

SOURCE = """
    CREATE TABLE people (code TEXT PRIMARY KEY, name);
    INSERT INTO people VALUES ('a', 'Al'), ('b', NULL);
"""
BY_NAME = 'Person: {source: people, key: {PK: "{name}"}, columns: none}'


def test_a_plan_that_was_never_run_says_so_and_leaves_no_trace(shop: Shop) -> None:
    past = past_runs(shop.plan(BY_NAME))
    assert past.to_text() == "plan shop has not been run yet"
    assert past.to_json() == {"plan": "shop", "locked": False, "runs": [], "damaged": []}
    assert not (shop.folder / "state").exists()


def test_runs_dry_runs_and_retries_are_told_newest_first(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    reports = [run_plan(plan, dry_run=True), run_plan(plan), retry_plan(plan)]
    past = past_runs(plan)
    assert [(run.run_id, run.kind) for run in past.runs] == [
        (report.run_id, kind) for report, kind in zip(reversed(reports), ("retry", "run", "dry run"), strict=True)
    ]
    run = past.to_json()["runs"][1]
    told = {
        name: run[name] for name in ("state", "status", "exit_code", "resumed", "read", "written", "rejected", "failed")
    }
    assert told == {
        "state": "ended",
        "status": "completed_with_rejects",
        "exit_code": 1,
        "resumed": False,
        "read": 2,
        "written": 1,
        "rejected": 1,
        "failed": 0,
    }
    assert json.loads(Path(run["report"]).read_text("utf-8"))["run_id"] == reports[1].run_id
    heading, *rows = past.to_text().splitlines()
    assert heading.split()[:3] == ["run", "kind", "started"]
    assert "completed with rejects" in rows[1]


def test_an_unfinished_run_is_told_apart_from_one_that_is_running(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    door.faults.append(deny(None))
    stopped = run_plan(plan)
    assert past_runs(plan).runs[0].state == "unfinished"
    assert past_runs(plan).runs[0].run_id == stopped.run_id
    with plan_lock(plan.settings.state_dir, plan.name):
        assert [run.state for run in past_runs(plan).runs] == ["running", "ended"]
        assert past_runs(plan).to_text().endswith("a command is at work on this plan")


def test_a_run_that_was_given_up_is_told_so(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    door.faults.append(deny(None))
    run_plan(plan)
    door.faults.clear()
    run_plan(plan, restart=True)
    assert [run.state for run in past_runs(plan).runs] == ["ended", "given up", "ended"]


def test_a_run_that_was_rolled_back_is_told_so_with_the_report_of_that(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    roll_back(plan, run.run_id)
    past = past_runs(plan)
    assert [(run.state, run.status) for run in past.runs] == [("rolled back", "completed_with_rejects")]
    assert "rolled back" in past.to_text()
    assert json.loads(Path(past.runs[0].rollback or "").read_text("utf-8"))["totals"]["deleted"] == 1


def test_a_run_whose_rollback_was_cut_off_is_neither_ended_nor_rolled_back(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run = run_plan(plan)
    door.faults.append(deny(None, ("DeleteItem",)))
    assert roll_back(plan, run.run_id).exit_code == 3
    assert [run.state for run in past_runs(plan).runs] == ["rollback unfinished"]
    door.faults.clear()
    roll_back(plan, run.run_id)
    assert [run.state for run in past_runs(plan).runs] == ["rolled back"]


def test_a_rollback_that_was_refused_leaves_its_run_as_it_was(shop: Shop) -> None:
    run = run_plan(shop.plan(BY_NAME))
    with pytest.raises(UsageError):
        roll_back(shop.plan(BY_NAME.replace("columns: none", "columns: rest")), run.run_id)
    assert [run.state for run in past_runs(shop.plan(BY_NAME)).runs] == ["ended"]


def test_a_run_that_was_killed_before_its_report_is_told_by_its_checkpoint(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    door.faults.append(deny(None))
    killed = run_plan(plan)
    (shop.folder / "state" / "shop" / "runs" / killed.run_id / "report.json").unlink()
    run = past_runs(plan).runs[0]
    assert (run.run_id, run.state, run.status, run.report) == (killed.run_id, "unfinished", None, None)


DAMAGES = {"torn": b'{"run_id": ', "no object": b"[]", "counts missing": b'{"dry_run": false}', "binary": b"\xff\x00"}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_report_is_told_and_hides_no_other(shop: Shop, damage: bytes) -> None:
    plan = shop.plan(BY_NAME)
    kept, lost = run_plan(plan), run_plan(plan)
    path = shop.folder / "state" / "shop" / "runs" / lost.run_id / "report.json"
    path.write_bytes(damage)
    past = past_runs(plan)
    assert [run.run_id for run in past.runs] == [kept.run_id]
    assert [str(path) in told for told in past.damaged] == [True]


def test_a_damaged_checkpoint_is_told(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    run_plan(plan)
    (shop.folder / "state" / "shop" / "state.sqlite").write_bytes(b"nonsense" * 1000)
    past = past_runs(plan)
    assert len(past.runs) == 1
    assert ["state.sqlite" in told for told in past.damaged] == [True]


def test_of_two_runs_of_one_second_the_one_that_ended_later_is_newer(shop: Shop) -> None:
    plan = shop.plan(BY_NAME)
    runs = [run_plan(plan) for _ in range(2)]
    folder = shop.folder / "state" / "shop" / "runs"
    moments = {}
    for second, report in enumerate(runs):
        renamed = folder / f"20261121T100000Z-{'fa'[second]}"
        (folder / report.run_id).rename(renamed)
        os.utime(renamed / "report.json", (second, second))
        moments[second] = renamed.name
    assert [run.run_id for run in past_runs(plan).runs] == [moments[1], moments[0]]
