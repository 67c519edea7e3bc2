"""How far a run is: what it writes down, and what another shell makes of that."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from door import Door, Forward, Reply, Request
from door_faults import WRITES, deny
from migrator.errors import StoppedError
from migrator.run import opened
from migrator.run.accounts import Accounts
from migrator.run.checkpoint import Done
from migrator.run.engine import run_plan
from migrator.run.follow import end_of, iter_progress, progress_line
from migrator.run.history import progress_file
from migrator.run.lock import plan_lock
from migrator.run.plan import Plan
from migrator.run.progress_file import Progress, ProgressFile, Share, read_progress
from migrator.run.results import EntityResult
from migrator.run.segment import SegmentResult
from migrator.run.settings import Settings
from migrator.wholefile import whole_file
from shop import Shop

BY_CODE = 'Person: {source: people, key: {PK: "{code}"}, columns: none}'
ROWS = 60
SOURCE = f"""
    CREATE TABLE people (code INTEGER PRIMARY KEY);
    WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) INSERT INTO people SELECT i FROM n;
"""


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


# ---- the file


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts() -> Accounts:
    accounts = Accounts(Settings())
    accounts.entities = {0: EntityResult("Person", "t", "people")}
    return accounts


def count(accounts: Accounts, **counts: float) -> None:
    accounts.entities[0] = replace(accounts.entities[0], **counts)  # type: ignore[arg-type]


def done(number: int) -> SegmentResult:
    return SegmentResult(0, number, complete=True, read=10)


def test_it_is_there_for_as_long_as_the_run(tmp_path: Path) -> None:
    path = tmp_path / "plan" / "progress.json"
    with ProgressFile(path).of_run("R", dry_run=True):
        found = read_progress(path)
        assert found is not None
        assert (found.run_id, found.dry_run, found.phase) == ("R", True, "preparing")
    assert not path.exists()


def test_it_is_replaced_at_most_once_a_second(tmp_path: Path, clock: Clock, accounts: Accounts) -> None:
    path = tmp_path / "progress.json"
    file = ProgressFile(path, clock=clock, wall_clock=clock)
    file.enter("writing", accounts, Share(100, 10))
    written = []
    for number in range(32):
        clock.now_s += 0.125
        file.update(accounts, [done(number)])
        written.append(read_progress(path))
    assert {progress.updated_at for progress in written if progress} == {1000.0, 1001.0, 1002.0, 1003.0, 1004.0}


def test_rate_and_time_left_are_of_the_part_that_is_under_way(tmp_path: Path, clock: Clock, accounts: Accounts) -> None:
    """Half was done before: what is left of it takes as long again as the quarter that was done now."""
    path = tmp_path / "progress.json"
    count(accounts, read=20, written=20, write_units=1000.0)
    earlier = {number: Done(0, 10, None, True, {}) for number in range(2)}
    file = ProgressFile(path, clock=clock, wall_clock=clock)
    file.enter("writing", accounts, Share(4, 10, earlier))
    clock.now_s += 30
    count(accounts, read=30, written=28, rejected=1, failed=1, write_units=1600.0)
    file.update(accounts, [done(2)])
    assert read_progress(path) == Progress(
        run_id="",
        dry_run=False,
        phase="writing",
        updated_at=1030.0,
        share=0.75,
        left_s=30.0,
        read=30,
        written=28,
        rejected=1,
        failed=1,
        write_units=1600.0,
        write_units_per_s=20.0,
    )


def test_nothing_is_said_of_the_time_left_while_nothing_is_done(
    tmp_path: Path, clock: Clock, accounts: Accounts
) -> None:
    path = tmp_path / "progress.json"
    file = ProgressFile(path, clock=clock)
    file.enter("writing", accounts, Share(4, 10))
    clock.now_s += 2
    file.update(accounts, [])
    found = read_progress(path)
    assert found is not None
    assert (found.share, found.left_s) == (0, None)


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, accounts: Accounts) -> None:
    (tmp_path / "file").touch()
    file = ProgressFile(tmp_path / "file" / "progress.json")
    with file.of_run("R", dry_run=False):
        file.enter("writing", accounts, Share(1))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"run_id": "R"}', b"\xff"])
def test_a_file_of_another_version_or_a_damaged_one_tells_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "progress.json"
    path.write_bytes(content)
    assert read_progress(path) is None


# ---- who looks on


def leave(plan: Plan, run_id: str, updated_at: float) -> Progress:
    """What a run with this id says of itself."""
    progress = Progress(run_id, dry_run=False, phase="writing", updated_at=updated_at)
    path = progress_file(plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(json.dumps({name: getattr(progress, name) for name in Progress.__slots__}).encode())
    return progress


def test_without_a_run_it_says_so(shop: Shop) -> None:
    plan = shop.plan(BY_CODE)
    assert list(iter_progress(plan)) == []
    assert end_of(plan, None) == ("no run of plan shop is under way", None)


def test_a_run_is_followed_from_share_to_share_and_to_its_report(
    shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 20)
    monkeypatch.setattr("migrator.run.progress_file.EVERY_S", 0.0)
    plan = shop.plan(BY_CODE)
    seen: list[Progress] = []

    def look(request: Request, forward: Forward) -> Reply:
        """Before a segment is written, until the ones before it are told of."""
        if request.operation in WRITES:
            told = filter(None, iter_progress(plan, sleep=lambda _: time.sleep(0.01)))
            seen.append(next(progress for progress in told if progress.share * 4 >= len(seen)))
        return forward(request)

    door.faults.append(look)
    report = run_plan(plan)
    assert [(progress.phase, progress.share, progress.written) for progress in seen] == [
        ("writing", 0.0, 0),
        ("writing", 0.25, 20),
        ("writing", 0.5, 40),
    ]
    text, found = end_of(plan, seen[-1])
    assert found == report.to_json()
    assert text.startswith(f"run {report.run_id} of plan shop: succeeded: 60 read, 60 written, 0 rejected, 0 failed, ")


def test_a_run_that_was_stopped_is_followed_to_its_report(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_CODE)
    door.faults.append(deny(None))
    stopped = run_plan(plan)
    assert stopped.error is not None
    text, _ = end_of(plan, Progress(stopped.run_id, dry_run=False))
    assert text.endswith(f"; stopped: {stopped.error.code}")


def test_a_file_that_no_lock_goes_with_is_of_a_run_that_was_killed(shop: Shop) -> None:
    plan = shop.plan(BY_CODE)
    left = leave(plan, "R", updated_at=0)
    assert list(iter_progress(plan)) == []
    told = ("run R was killed, or its machine went down; `migrator run` goes on with what it recorded", None)
    assert (end_of(plan, None), end_of(plan, left)) == (told, told)


def test_a_file_older_than_the_lock_says_nothing_of_who_holds_it(shop: Shop) -> None:
    """A retry, say, after a run that was killed."""
    plan = shop.plan(BY_CODE)
    leave(plan, "R", updated_at=0)
    with plan_lock(plan.settings.state_dir, plan.name):
        assert next(iter_progress(plan)) is None


def test_it_ends_with_the_run_that_was_followed_and_not_with_the_next(shop: Shop) -> None:
    plan = shop.plan(BY_CODE)
    with plan_lock(plan.settings.state_dir, plan.name):
        leave(plan, "R", updated_at=4e9)
        progress = iter_progress(plan, sleep=lambda _: leave(plan, "S", updated_at=4e9))
        assert [each.run_id for each in progress if each] == ["R"]


def test_a_report_that_is_gone_is_told_with_its_path(shop: Shop) -> None:
    plan = shop.plan(BY_CODE)
    with pytest.raises(StoppedError, match=r"runs/R/report\.json: the report cannot be read"):
        end_of(plan, Progress("R", dry_run=False))


LINES: dict[str, tuple[dict[str, Any], str]] = {
    "preparing": ({}, "run R: preparing"),
    "verifying": ({"phase": "verifying"}, "run R: verifying"),
    "a dry run": ({"dry_run": True}, "dry run R: preparing"),
    "no news": ({"updated_at": -60.0}, "run R: preparing (as of 1 min ago)"),
    "an incremental run": (
        {"phase": "writing", "unchanged": 5},
        "run R: writing, 0 %: 0 rows read, 0 items written, 5 unchanged, 0 rejected, 0 failed, "
        "0 write units (0 a second)",
    ),
    "nothing known of the time": (
        {"phase": "writing"},
        "run R: writing, 0 %: 0 rows read, 0 items written, 0 rejected, 0 failed, 0 write units (0 a second)",
    ),
}


@pytest.mark.parametrize(("changes", "line"), LINES.values(), ids=LINES)
def test_what_is_shown(changes: dict[str, Any], line: str) -> None:
    assert progress_line(Progress(**{"run_id": "R", "dry_run": False} | changes), now=0.0) == line
