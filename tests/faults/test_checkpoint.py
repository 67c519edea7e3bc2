"""The state of an unfinished run on a full disk, or not as it was left: faults 20 and 42."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cut_off import in_short_segments, recorded
from door_faults import before_writes
from migration import ROW, Migration, rejected, said_plainly
from oracle_rows import expected_of
from writers import execute

# ---- 20: a disk of its own for the state folder, which fills up


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def on_small_disk(filled: Migration) -> Iterator[Migration]:
    filled.write(ROW, batch_size=5, connections=1)
    filled.state.mkdir()
    mount(filled.state, "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    yield replace(filled, migrator=in_short_segments(filled.migrator))
    subprocess.run(["umount", str(filled.state)], check=True)


def make_room(migration: Migration) -> None:
    mount(migration.state, "-o", "remount,size=16m")


def fill(migration: Migration) -> None:
    """Take all the room that is left."""
    try:
        with (migration.state / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def test_20_rejects_that_fill_the_disk_stop_the_run_which_goes_on_when_there_is_room(on_small_disk: Migration) -> None:
    execute(on_small_disk.source, "UPDATE rows SET b = CAST(x'ff' AS TEXT) WHERE id >= 20")
    execute(on_small_disk.source, f"ALTER TABLE rows RENAME b TO {'b' * 8000}")  # stands in every line
    outcome = on_small_disk.run()
    on_small_disk.assert_stopped(outcome, "state_unwritable")
    assert len(rejected(outcome)) == recorded(on_small_disk.state_file)[1] > 0
    make_room(on_small_disk)
    on_small_disk.assert_holds(on_small_disk.resume(), expected_of(on_small_disk.source, ROW))


def test_20_a_checkpoint_that_fills_the_disk_stops_the_run_which_goes_on_when_there_is_room(
    on_small_disk: Migration,
) -> None:
    nothing = [lambda: None] * 5
    on_small_disk.door.faults.append(before_writes(*nothing, lambda: fill(on_small_disk)))
    outcome = on_small_disk.run()
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, "state_unwritable"), outcome.stderr
    assert said_plainly(outcome.stderr)
    assert recorded(on_small_disk.state_file) == (20, 0)
    on_small_disk.door.faults.clear()
    make_room(on_small_disk)
    on_small_disk.assert_holds(on_small_disk.resume(), expected_of(on_small_disk.source, ROW))


# ---- 42: what is not the checkpoint that was written


def make_newer(path: Path) -> None:
    execute(path, "PRAGMA user_version = 99")


#: what is done to the file -> how, and what the run calls it
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "checkpoint_unreadable"),
    "garbage": (lambda path: path.write_bytes(b"\xa5" * 8192), "checkpoint_unreadable"),
    "empty": (lambda path: path.write_bytes(b""), "checkpoint_unreadable"),
    "a page overwritten": (
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * (path.stat().st_size - 4096)),
        "checkpoint_unreadable",
    ),
    "newer": (make_newer, "checkpoint_newer"),
}


@pytest.mark.parametrize(("spoil", "code"), SPOILT.values(), ids=SPOILT)
def test_42_a_checkpoint_that_cannot_be_used_is_refused_and_left_alone(
    cut: Migration, spoil: Callable[[Path], object], code: str
) -> None:
    expected = expected_of(cut.source, ROW)
    path = cut.state_file
    spoil(path)
    spoilt = path.read_bytes()
    cut.door.reset()
    outcome = cut.run()
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, code)
    assert said_plainly(outcome.stderr)
    assert "--restart" in outcome.stderr
    assert (cut.door.requests["BatchWriteItem"], path.read_bytes()) == (0, spoilt)
    cut.assert_holds_once(cut.run("--restart"), expected)
    (aside,) = path.parent.glob("state.sqlite.*.aside")
    assert aside.read_bytes() == spoilt
