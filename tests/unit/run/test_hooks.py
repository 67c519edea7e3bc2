"""A plan's own commands at the start and the end of its runs."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from door import Door
from door_faults import deny
from migrator.errors import UsageError
from migrator.run.checks import check_plan
from migrator.run.engine import run_plan
from migrator.run.lock import plan_lock
from migrator.run.report import RunReport
from shop import Shop

SOURCE = """
    CREATE TABLE people (code TEXT PRIMARY KEY, name);
    INSERT INTO people VALUES ('a', 'Al'), ('b', 'Bo');
"""
BY_NAME = 'Person: {source: people, key: {PK: "{name}"}, columns: none}'
#: Writes down what it is told: its arguments, its environment and where it runs.
TELL = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("MIGRATOR_")}
with open(sys.argv[1], "a") as file:
    print(json.dumps({"arguments": sys.argv[2:], "folder": os.getcwd(), **told}), file=file)
"""


@pytest.fixture
def shop(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("MIGRATOR_REAL_DATA", raising=False)  # the tests' own, and no command's business
    (shop.folder / "tell.py").write_text(TELL)
    return shop


def telling(shop: Shop, *arguments: str) -> list[str]:
    return [sys.executable, str(shop.folder / "tell.py"), str(shop.folder / "told"), *arguments]


def plan_that_tells(shop: Shop, **more: Any) -> Any:
    hooks = {hook: telling(shop) for hook in ("on_start", "on_success", "on_failure")}
    return shop.plan(BY_NAME, **hooks | more)


def told(shop: Shop) -> list[dict[str, Any]]:
    path = shop.folder / "told"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def report_path(shop: Shop, report: RunReport) -> str:
    return str(shop.folder / "state" / "shop" / "runs" / report.run_id / "report.json")


def reject_a_row(shop: Shop) -> None:
    shop.source("UPDATE people SET name = NULL WHERE code = 'b'")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# ---- who is called, and what it is told


def test_a_run_that_succeeds_calls_its_start_and_its_success(shop: Shop) -> None:
    report = run_plan(plan_that_tells(shop))
    path = report_path(shop, report)
    common = {
        "arguments": [path],
        "folder": str(shop.folder),
        "MIGRATOR_PLAN": "shop",
        "MIGRATOR_RUN_ID": report.run_id,
        "MIGRATOR_REPORT": path,
    }
    ending = {"MIGRATOR_STATUS": "succeeded", "MIGRATOR_EXIT_CODE": "0", "MIGRATOR_ERROR": ""}
    assert told(shop) == [
        common | {"MIGRATOR_HOOK": "on_start"},
        common | {"MIGRATOR_HOOK": "on_success"} | ending,
    ]


def test_the_report_is_there_when_the_end_is_told(shop: Shop) -> None:
    copy = ["cp", "{report}", str(shop.folder / "copy.json")]
    report = run_plan(shop.plan(BY_NAME, on_success=copy))
    assert json.loads((shop.folder / "copy.json").read_text("utf-8"))["run_id"] == report.run_id


def test_the_report_stands_where_an_argument_asks_for_it(shop: Shop) -> None:
    report = run_plan(shop.plan(BY_NAME, on_success=telling(shop, "--file={report}", "last")))
    assert told(shop)[0]["arguments"] == [f"--file={report_path(shop, report)}", "last"]


def test_text_is_cut_into_arguments_and_no_shell_looks_at_it(shop: Shop) -> None:
    command = f"'{sys.executable}' tell.py told 'two words' $HOME *.py"
    run_plan(shop.plan(BY_NAME, on_success=command))
    assert told(shop)[0]["arguments"][:-1] == ["two words", "$HOME", "*.py"]


def test_a_program_named_by_a_path_is_found_from_the_plan(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    script = shop.folder / "notify"
    script.write_text("#!/bin/sh\ntouch notified\n")
    script.chmod(0o755)
    monkeypatch.chdir("/")
    run_plan(shop.plan(BY_NAME, on_success="./notify"))
    assert (shop.folder / "notified").exists()


def test_facts_of_another_run_are_not_inherited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATOR_STATUS", "failed")
    monkeypatch.setenv("MIGRATOR_PRICES", "prices.json")
    run_plan(plan_that_tells(shop))
    start = told(shop)[0]
    assert "MIGRATOR_STATUS" not in start
    assert start["MIGRATOR_PRICES"] == "prices.json"


def test_rejected_rows_are_a_failure(shop: Shop) -> None:
    reject_a_row(shop)
    run_plan(plan_that_tells(shop))
    end = told(shop)[-1]
    assert (end["MIGRATOR_HOOK"], end["MIGRATOR_STATUS"], end["MIGRATOR_EXIT_CODE"]) == (
        "on_failure",
        "completed_with_rejects",
        "1",
    )


def test_a_run_that_was_stopped_is_told_with_the_code_of_its_error(shop: Shop, door: Door) -> None:
    door.faults.append(deny(None))
    report = run_plan(plan_that_tells(shop))
    assert report.error is not None
    end = told(shop)[-1]
    assert (end["MIGRATOR_HOOK"], end["MIGRATOR_STATUS"], end["MIGRATOR_EXIT_CODE"], end["MIGRATOR_ERROR"]) == (
        "on_failure",
        "failed",
        "3",
        report.error.code,
    )


def test_a_plan_that_no_longer_fits_its_source_is_told_without_a_report(shop: Shop) -> None:
    plan = plan_that_tells(shop)
    shop.source("ALTER TABLE people RENAME name TO surname")
    with pytest.raises(UsageError):
        run_plan(plan)
    end = told(shop)[-1]
    assert (end["MIGRATOR_HOOK"], end["MIGRATOR_EXIT_CODE"], end["MIGRATOR_ERROR"]) == ("on_failure", "2", "document")
    assert end["arguments"] == [os.devnull]


def test_a_run_that_another_one_keeps_out_calls_nothing(shop: Shop) -> None:
    plan = plan_that_tells(shop)
    with plan_lock(plan.settings.state_dir, plan.name):
        assert run_plan(plan).exit_code == 5
    assert told(shop) == []


def test_a_dry_run_calls_nothing(shop: Shop) -> None:
    run_plan(plan_that_tells(shop), dry_run=True)
    assert told(shop) == []


def test_a_run_that_goes_on_is_told_under_its_own_id(shop: Shop, door: Door) -> None:
    door.faults.append(deny(None))
    stopped = run_plan(plan_that_tells(shop))
    door.faults.clear()
    run_plan(plan_that_tells(shop))
    assert [(end["MIGRATOR_HOOK"], end["MIGRATOR_RUN_ID"]) for end in told(shop)[2:]] == [
        ("on_start", stopped.run_id),
        ("on_success", stopped.run_id),
    ]


def test_the_lock_is_held_at_the_start_and_free_at_the_end(shop: Shop) -> None:
    looking = (
        "import os, sys; from migrator.run.lock import is_locked\n"
        "print(os.environ['MIGRATOR_HOOK'], is_locked(sys.argv[1], 'shop'), file=open(sys.argv[2], 'a'))"
    )
    look = [sys.executable, "-c", looking, str(shop.folder / "state"), str(shop.folder / "told")]
    run_plan(shop.plan(BY_NAME, on_start=look, on_success=look))
    assert (shop.folder / "told").read_text().splitlines() == ["on_start True", "on_success False"]


# ---- commands that fail


def test_a_start_that_fails_stops_the_run_before_anything_is_written(shop: Shop, door: Door) -> None:
    report = run_plan(plan_that_tells(shop, on_start=["sh", "-c", "exit 7"]))
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "on_start_failed")
    assert "sh ended with exit code 7" in report.error.message
    assert not door.requests
    assert [end["MIGRATOR_HOOK"] for end in told(shop)] == ["on_failure"]


def test_after_a_start_that_failed_the_next_run_begins_anew(shop: Shop) -> None:
    run_plan(shop.plan(BY_NAME, on_start="false"))
    report = run_plan(shop.plan(BY_NAME, on_start="true"))
    assert (report.exit_code, report.resumed, len(shop.items())) == (0, False, 2)


FAILURES = {
    "exit code": ("sh -c 'exit 3'", "sh ended with exit code 3"),
    "missing": ("no-such-program", "no-such-program cannot be run: No such file or directory"),
    "not executable": ("./plan.yaml", "./plan.yaml cannot be run: Permission denied"),
    "killed": ("sh -c 'kill -9 $$'", "sh ended with exit code -9"),
}


@pytest.mark.parametrize(("command", "told"), FAILURES.values(), ids=FAILURES)
def test_an_end_that_fails_is_one_warning_and_changes_nothing(
    shop: Shop, caplog: pytest.LogCaptureFixture, command: str, told: str
) -> None:
    report = run_plan(shop.plan(BY_NAME, on_success=command))
    assert warnings(caplog) == [f"settings.on_success: {told}"]
    assert report.exit_code == 0
    assert json.loads(Path(report_path(shop, report)).read_text("utf-8"))["exit_code"] == 0


def test_check_tells_what_cannot_be_found_and_its_exit_code_stays(shop: Shop) -> None:
    script = shop.folder / "there"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    found = check_plan(shop.plan(BY_NAME, on_start="true", on_success="./there", on_failure="./plan.yaml x"))
    assert found.missing_commands == ("settings.on_failure: ./plan.yaml is not found here, or cannot be run",)
    assert found.missing_commands[0] in found.to_text().splitlines()
    assert found.exit_code == 0


def is_gone(process: int) -> bool:
    """Whether it has ended; who should collect it may be slow."""
    try:
        return " Z " in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True


def await_end(process: int) -> None:
    """A signal takes its time."""
    give_up = time.monotonic() + 10
    while not is_gone(process):
        assert time.monotonic() < give_up, f"{process} lives on"
        time.sleep(0.01)


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    run_plan(shop.plan(BY_NAME, on_success="sh -c 'sleep 600 & echo $! > child; wait'", hook_timeout="1s"))
    assert warnings(caplog) == ["settings.on_success: sh was ended after 1 s (settings.hook_timeout)"]
    await_end(int((shop.folder / "child").read_text()))


def test_what_a_command_leaves_running_keeps_nobody_waiting(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    run_plan(shop.plan(BY_NAME, on_success="sh -c 'sleep 600 & echo $! > child'"))
    child = int((shop.folder / "child").read_text())
    try:
        assert not is_gone(child)
        assert warnings(caplog) == []
    finally:
        os.kill(child, signal.SIGKILL)


@contextmanager
def terminated_at(path: Path) -> Iterator[None]:
    """This process gets a SIGTERM as soon as the file is there."""

    def end_it() -> None:
        while not path.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=end_it)
    ender.start()
    yield
    ender.join()


def test_a_signal_ends_a_command_and_leaves_the_exit_code_of_the_run(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    plan = shop.plan(BY_NAME, on_success="sh -c 'echo $$ > child; exec sleep 600'")
    with terminated_at(shop.folder / "child"):
        report = run_plan(plan)
    assert report.exit_code == 0
    assert warnings(caplog) == ["settings.on_success: sh was ended by a signal"]


def test_a_signal_ends_a_start_and_the_run(shop: Shop, door: Door) -> None:
    plan = shop.plan(BY_NAME, on_start="sh -c 'echo $$ > child; exec sleep 600'")
    with terminated_at(shop.folder / "child"):
        report = run_plan(plan)
    assert report.exit_code == 143
    assert not door.requests


# ---- what they print


def test_what_a_command_prints_goes_to_the_log_line_by_line(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "migrator.run.hooks"):
        run_plan(shop.plan(BY_NAME, on_success=r"sh -c 'echo one; echo two >&2; printf \\377'"))
    lines = [record.getMessage() for record in caplog.records if record.name == "migrator.run.hooks"]
    assert lines == ["on_success: one", "on_success: two", "on_success: \ufffd"]


def test_of_a_command_that_prints_without_end_only_the_end_is_logged(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "migrator.run.hooks"):
        run_plan(shop.plan(BY_NAME, on_success="sh -c 'yes | head -c 1000000; echo end'"))
    lines = [record.getMessage() for record in caplog.records if record.name == "migrator.run.hooks"]
    assert (lines[-1], len(lines) < 40_000) == ("on_success: end", True)
