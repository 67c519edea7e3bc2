"""Runs as a scheduler starts them: nobody looks on, runs overlap, are cut off, and go on the next night."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command import Migrator, Outcome
from cut_off import in_short_segments, under_way
from door import Door
from door_faults import delay
from migration import ROW, Migration

ROWS = 60


@pytest.fixture
def engine(moto_url: str) -> str:
    """One engine is enough: what is looked at is the process."""
    return moto_url


@pytest.fixture
def migration(tmp_path: Path, migrator: Migrator, door: Door, dynamodb: Any) -> Migration:
    (tmp_path / "source").mkdir()
    migration = Migration(tmp_path, migrator, door, dynamodb)
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", ((n, n) for n in range(ROWS)))
    migration.write(ROW)
    return migration


def reject_a_row(migration: Migration) -> None:
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("UPDATE rows SET a = CAST(x'ff' AS TEXT) WHERE id = 7")


def run_ids(migration: Migration) -> set[str]:
    return {path.name for path in (migration.state / "faults" / "runs").iterdir()}


@contextmanager
def lock_held(migration: Migration) -> Iterator[None]:
    migration.state.mkdir(exist_ok=True)
    with (migration.state / "faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- what it prints


def test_a_summary_is_one_line_and_standard_error_is_silent(migration: Migration) -> None:
    outcome = migration.run("--summary", "--log-level", "warning")
    report = outcome.report
    assert outcome.stdout == (
        f"run {report['run_id']} of plan faults: succeeded: 60 read, 60 written, 0 rejected, 0 failed, "
        f"{report['totals']['write_units']} write units, {report['duration_s']:.1f} s\n"
    )
    assert outcome.stderr == ""


def test_the_summary_of_a_dry_run_says_what_it_is(migration: Migration) -> None:
    outcome = migration.run("--summary", "--dry-run")
    run_id = outcome.report["run_id"]
    assert outcome.stdout.startswith(f"dry run {run_id} of plan faults: succeeded: 60 read, 60 written, ")


def test_the_summary_of_a_run_with_rejects_names_their_file(migration: Migration) -> None:
    reject_a_row(migration)
    outcome = migration.run("--summary")
    assert outcome.exit_code == 1
    assert outcome.stdout.count("\n") == 1
    assert outcome.stdout.endswith(f"; rejected rows: {outcome.report['rejects']}\n")


def printed_by(migration: Migration, *arguments: str) -> str:
    with migration.migrator.start(*arguments, stderr=subprocess.DEVNULL) as process:
        return process.communicate(timeout=60)[0]


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_report_on_standard_output_is_all_that_stands_there(migration: Migration, options: tuple[str, ...]) -> None:
    reject_a_row(migration)
    printed = json.loads(printed_by(migration, "run", str(migration.plan), *options, "--report", "-"))
    kept = migration.state / "faults" / "runs" / printed["run_id"] / "report.json"
    assert printed == json.loads(kept.read_text())
    assert printed["status"] == "completed_with_rejects"
    assert not (migration.folder / "-").exists()


@pytest.mark.parametrize("command", ["verify", "retry"])
def test_other_reports_stand_there_as_well(migration: Migration, command: str) -> None:
    reject_a_row(migration)
    migration.run()
    printed = json.loads(printed_by(migration, command, str(migration.plan), "--report", "-"))
    assert printed["plan"] == "faults"


@pytest.mark.parametrize("options", [("--summary", "--report", "-"), ("--html", "-")])
def test_standard_output_is_not_asked_for_twice(migration: Migration, options: tuple[str, ...]) -> None:
    with migration.migrator.start("run", str(migration.plan), *options) as process:
        printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (2, "")
    assert "standard output has the result already; name a file" in said
    assert not migration.state.exists()


#: The command, with what other packages may say in the middle of it.
TALKATIVE = """
import logging, warnings
from migrator.run import ways
write_options = ways.write_options
def talking(*given, **named):
    warnings.warn("a package is\\nold", DeprecationWarning, stacklevel=1)
    warnings.warn("a package is odd", stacklevel=1)
    logging.getLogger("botocore.session").warning("the profile %s is odd", "x")
    logging.getLogger("botocore.session").info("signed requests")
    return write_options(*given, **named)
ways.write_options = talking
from migrator.cli import main
main()
"""


def test_every_line_of_a_json_log_is_json(migration: Migration) -> None:
    reject_a_row(migration)
    migration.write(
        ROW,
        on_reject="stop",
        on_start="sh -c 'echo begun'",
        on_failure="sh -c 'echo two; echo lines; exit 1'",
        metrics={"cloudwatch": {"namespace": "N"}},
    )
    talkative = replace(migration, migrator=replace(migration.migrator, program=("-c", TALKATIVE)))
    outcome = talkative.run("--log-format", "json", "--summary")
    lines = [json.loads(line) for line in outcome.stderr.splitlines()]
    assert [line["message"] for line in lines if line.get("logger") == "migrator.run.hooks"] == [
        "on_start: begun",
        "on_failure: two",
        "on_failure: lines",
        "settings.on_failure: sh ended with exit code 1",
    ]
    assert sum("_aws" in line for line in lines) == 2
    assert any("a package is odd" in line.get("message", "") for line in lines)
    assert "the profile x is odd" in {line.get("message") for line in lines}
    assert "signed requests" not in outcome.stderr
    assert [line["code"] for line in lines if line.get("level") == "error"] == ["too_many_rejects"]
    assert outcome.stdout.count("\n") == 1


# ---- lock_wait, max_duration, keep_runs


def test_a_run_that_waits_for_the_lock_goes_to_work_when_it_is_free(migration: Migration) -> None:
    migration.write(ROW, lock_wait="60s")
    migration.door.reset()
    with lock_held(migration):
        process = migration.migrator.start("run", str(migration.plan), "--summary")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        assert not migration.door.requests
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in stderr) == (0, False)
    assert "succeeded: 60 read, 60 written" in stdout


def test_a_run_that_waited_in_vain_writes_nothing_and_tells_nobody(migration: Migration) -> None:
    touched = migration.folder / "touched"
    migration.write(ROW, lock_wait="1s", on_start=f"touch {touched}", on_failure=f"touch {touched}")
    migration.door.reset()
    with lock_held(migration):
        outcome = migration.run("--summary")
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (5, "locked")
    assert outcome.stdout.endswith("; stopped: locked\n")
    assert not migration.door.requests
    assert not touched.exists()


def test_a_run_whose_time_is_up_is_told_as_interrupted_and_goes_on_the_next_time(migration: Migration) -> None:
    ended = migration.folder / "ended"
    hook = f"""sh -c 'echo "$MIGRATOR_HOOK $MIGRATOR_STATUS $MIGRATOR_EXIT_CODE" >> {ended}'"""
    settings = {"batch_size": 1, "connections": 1, "on_success": hook, "on_failure": hook}
    migration.write(ROW, max_duration="3s", **settings)
    slow = replace(migration, migrator=in_short_segments(migration.migrator))
    migration.door.faults.append(delay(0.2))
    first = slow.run()
    assert (first.exit_code, first.report["status"]) == (143, "interrupted")
    assert 0 < first.report["totals"]["written"] < ROWS
    migration.door.faults.clear()
    migration.write(ROW, **settings)
    second = slow.resume()
    assert (second.exit_code, second.report["run_id"]) == (0, first.report["run_id"])
    assert len(migration.items()) == ROWS
    assert ended.read_text().splitlines() == ["on_failure interrupted 143", "on_success succeeded 0"]


def test_of_many_runs_the_last_few_are_kept(migration: Migration) -> None:
    migration.write(ROW, keep_runs=2)
    kept = [migration.run("--summary").report["run_id"] for _ in range(4)]
    assert run_ids(migration) == set(kept[-2:])
    with closing(sqlite3.connect(migration.state_file)) as db:
        assert {run_id for (run_id,) in db.execute("SELECT run_id FROM runs")} == set(kept[-2:])
    assert not (migration.state / "faults" / "progress.json").exists()


# ---- following from another shell


def follow(migration: Migration, *options: str) -> Outcome:
    return migration.migrator("runs", migration.plan, "--follow", *options)


def test_following_a_plan_that_nobody_runs_says_so(migration: Migration) -> None:
    outcome = follow(migration)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "no run of plan faults is under way\n", "")
    assert json.loads(follow(migration, "--format", "json").stdout) == {"message": "no run of plan faults is under way"}


@contextmanager
def looking_on(migration: Migration, *options: str, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """Who follows a run."""
    with migration.migrator.start("runs", str(migration.plan), "--follow", *options, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_run_is_followed_to_its_end(migration: Migration) -> None:
    with ExitStack() as run_under_way:
        run = run_under_way.enter_context(under_way(migration.migrator, migration.plan, migration.door))
        with looking_on(migration) as looking:
            run_id = json.loads((migration.state / "faults" / "progress.json").read_bytes())["run_id"]
            assert first_line(looking).startswith(f"run {run_id}: writing, 0 %: 0 rows read, 0 items written, ")
            run_under_way.close()
            stdout, stderr = looking.communicate(timeout=60)
    assert (run.returncode, looking.returncode, stderr) == (0, 0, "")
    assert stdout.splitlines()[-1].startswith(f"run {run_id} of plan faults: succeeded: 60 read, 60 written, ")


def test_a_run_that_is_killed_is_told_from_one_that_ended(migration: Migration) -> None:
    with under_way(migration.migrator, migration.plan, migration.door) as run, looking_on(migration) as looking:
        first_line(looking)
        run.kill()
        stdout, _ = looking.communicate(timeout=60)
    assert looking.returncode == 0
    assert " was killed, or its machine went down; `migrator run` goes on" in stdout
    assert follow(migration).stdout == stdout.splitlines()[-1] + "\n"
    assert migration.resume().exit_code == 0
    assert follow(migration).stdout == "no run of plan faults is under way\n"


def test_programs_follow_a_run_as_json_lines(migration: Migration) -> None:
    with ExitStack() as run_under_way:
        run_under_way.enter_context(under_way(migration.migrator, migration.plan, migration.door))
        with looking_on(migration, "--format", "json") as looking:
            first = json.loads(first_line(looking))
            run_under_way.close()
            stdout, _ = looking.communicate(timeout=60)
    assert (first["phase"], first["written"], first["dry_run"]) == ("writing", 0, False)
    report = json.loads(stdout.splitlines()[-1])
    assert (report["run_id"], report["status"]) == (first["run_id"], "succeeded")


def test_at_a_terminal_a_line_is_written_over(migration: Migration) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with (
        under_way(migration.migrator, migration.plan, migration.door),
        looking_on(migration, stdout=theirs, stderr=theirs) as looking,
    ):
        os.close(theirs)
        shown = ""
        while "rows read" not in shown:
            shown += os.read(ours, 4096).decode()
        looking.send_signal(signal.SIGINT)
        assert looking.wait(60) == 130
    os.close(ours)
    assert re.match(r"\r+run \S+: writing, 0 %: 0 rows read", shown)
    assert max(map(len, re.split("[\r\n]", shown))) <= 80


def test_who_stops_following_leaves_the_run_alone(migration: Migration) -> None:
    with under_way(migration.migrator, migration.plan, migration.door) as run:
        with looking_on(migration) as looking:
            first_line(looking)
            looking.send_signal(signal.SIGINT)
            assert looking.wait(60) == 130
        assert run.poll() is None
    assert run.returncode == 0
