"""One consistent view, and nothing left beside the file: faults 1 to 7 of a source that someone is using."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrator.errors import SourceError
from migrator.source.connection import connect
from migrator.source.failure import to_source_error
from migrator.source.snapshot import Snapshot, check_unchanged, is_still_there, keep, release, take_snapshot
from migrator.source.text import InvalidText
from writers import SPILL, beside, leave_behind, other_process


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def shop(path: Path) -> Path:
    return make(path, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1), (2)")


def rows(snapshot: Snapshot) -> list[object]:
    with connect(snapshot) as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT x FROM t ORDER BY x")]


WAL = (
    "c.execute('PRAGMA journal_mode=WAL')\nc.execute('CREATE TABLE t (x)')\nc.execute('INSERT INTO t VALUES (1), (2)')"
)
HOT = (
    "c.execute('CREATE TABLE t (x, pad)')\n"
    "c.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200)"
    " INSERT INTO t SELECT i, zeroblob(900) FROM n')\n"
    f"{SPILL}c.execute('BEGIN')\nc.execute('UPDATE t SET x=-x, pad=randomblob(900)')"
)


# ---- what cannot be read


def test_a_missing_file_is_said_to_be_missing_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file") as caught:
        take_snapshot(tmp_path / "no.sqlite")
    assert caught.value.code == "source_missing"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        take_snapshot(tmp_path)
    assert caught.value.code == "source_folder"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "source_empty"),
        (b"id,name\n1,a\n", "source_not_sqlite"),
        (b"SQLite format 3\x00", "source_not_sqlite"),
        (bytes(range(256)) * 32, "source_not_sqlite"),
    ],
    ids=["zero bytes", "text", "header only", "encrypted"],
)
def test_what_is_no_sqlite_file_is_refused_by_its_first_bytes(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        take_snapshot(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        take_snapshot(tmp_path / "pipe")


def test_a_name_with_nul_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        take_snapshot(f"{tmp_path}/a\0b")


def test_a_truncated_file_says_how_much_is_there(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(20000))")
    size = path.stat().st_size
    os.truncate(path, size - 8192)
    with pytest.raises(SourceError, match=f"truncated, {size - 8192} of {size} bytes") as caught:
        take_snapshot(path)
    assert caught.value.code == "source_damaged"


def test_a_damaged_schema_page_is_found_at_once(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 40)
    with pytest.raises(SourceError) as caught:
        take_snapshot(path)
    assert caught.value.code == "source_damaged"


def test_a_file_locked_for_too_long_is_busy(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    with other_process(path, "c.execute('BEGIN EXCLUSIVE')"), pytest.raises(SourceError) as caught:
        take_snapshot(path, wait_s=0.1)
    assert caught.value.code == "source_locked"
    assert caught.value.retryable


def test_a_lock_released_in_time_is_waited_for(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    with other_process(path, "c.execute('BEGIN EXCLUSIVE')") as process:
        timer = threading.Timer(0.3, process.kill)
        timer.start()
        assert rows(take_snapshot(path, wait_s=20)) == [1, 2]
        timer.join()


# ---- reading in place


@pytest.mark.parametrize("name", ["a b.sqlite", "a?b#c%20d.sqlite", "日本.db", "x;y'z\"", "a&mode=rwc"])
def test_any_name_is_opened_as_it_is(tmp_path: Path, name: str) -> None:
    snapshot = take_snapshot(shop(tmp_path / name))
    assert rows(snapshot) == [1, 2]
    assert os.listdir(tmp_path) == [name]


def test_a_plain_file_is_read_where_it_is_and_left_untouched(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    before = beside(path)
    snapshot = take_snapshot(path)
    assert rows(snapshot) == [1, 2]
    release(snapshot)
    assert snapshot.read_path == str(path)
    assert not snapshot.is_copy
    assert beside(path) == before


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(tmp_path / "x.sqlite")
    monkeypatch.chdir(tmp_path)
    assert take_snapshot("x.sqlite").path == str(tmp_path / "x.sqlite")


def test_a_connection_cannot_write(tmp_path: Path) -> None:
    snapshot = take_snapshot(shop(tmp_path / "x.sqlite"))
    with connect(snapshot) as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM t")


def test_text_that_is_not_utf8_comes_as_its_bytes(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE t (x)", "INSERT INTO t VALUES (CAST(x'ff' AS TEXT))")
    (value,) = rows(take_snapshot(path))
    assert isinstance(value, InvalidText)


def test_a_file_that_vanishes_before_it_is_opened_is_a_source_error(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path)
    path.unlink()
    with pytest.raises(SourceError) as caught, connect(snapshot):
        pass
    assert caught.value.code == "source_unreadable"


def test_looking_at_a_file_keeps_the_locks_of_this_process(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchone()
        check_unchanged(take_snapshot(path))
        script = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); c.execute('DELETE FROM t'); c.commit()"
        )
        outcome = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert "locked" in outcome.stderr


# ---- copies that share blocks


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system whose files can share blocks."""
    if os.geteuid() or not shutil.which("mkfs.xfs"):
        pytest.skip("a file system is made by root, with mkfs.xfs")
    image, folder = tmp_path / "xfs.image", tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(300 * 1024 * 1024)  # XFS refuses to be smaller
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    folder.mkdir()
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # the process keeps database files open


def used_bytes(folder: Path) -> int:
    system = os.statvfs(folder)
    return (system.f_blocks - system.f_bfree) * system.f_frsize


def test_a_copy_takes_no_room_where_files_can_share_blocks(xfs: Path) -> None:
    path = make(xfs / "x.sqlite", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1), (2)")
    make(path, "CREATE TABLE large (x)", "INSERT INTO large VALUES (randomblob(40000000))")
    before = used_bytes(xfs)
    snapshot = take_snapshot(path, xfs / "state", outlives_writers=True)
    keep(snapshot)
    assert snapshot.is_copy
    assert used_bytes(xfs) - before < 4_000_000
    make(path, "UPDATE t SET x = x + 10", "UPDATE large SET x = NULL")
    assert rows(snapshot) == [1, 2]
    release(snapshot)


def test_a_copy_on_another_file_system_is_a_copy_as_ever(xfs: Path, tmp_path: Path) -> None:
    path = shop(xfs / "x.sqlite")
    snapshot = take_snapshot(path, tmp_path / "state", outlives_writers=True)
    make(path, "UPDATE t SET x = x + 10")
    assert snapshot.is_copy
    assert rows(snapshot) == [1, 2]
    release(snapshot)


# ---- WAL and hot journals


def test_committed_rows_in_a_wal_arrive_and_the_folder_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "source" / "x.sqlite"
    path.parent.mkdir()
    leave_behind(path, WAL)
    (path.parent / "x.sqlite-shm").unlink()
    before = beside(path)
    snapshot = take_snapshot(path, tmp_path / "scratch")
    assert rows(snapshot) == [1, 2]
    assert snapshot.is_copy
    assert beside(path) == before
    assert os.listdir(Path(snapshot.read_path).parent) == ["copy.sqlite"]


def test_a_wal_file_without_its_wal_is_copied_too(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "PRAGMA journal_mode=WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
    assert os.listdir(tmp_path) == ["x.sqlite"]
    snapshot = take_snapshot(path)
    assert rows(snapshot) == [1]
    assert os.listdir(tmp_path) == ["x.sqlite"]
    release(snapshot)


def test_a_live_wal_is_copied_with_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    script = f"{WAL}\nc.execute('BEGIN')\nc.execute('INSERT INTO t VALUES (3)')"
    with other_process(path, script):
        snapshot = take_snapshot(path)
        names = sorted(os.listdir(tmp_path))
    assert rows(snapshot) == [1, 2]
    assert names == ["x.sqlite", "x.sqlite-shm", "x.sqlite-wal"]
    release(snapshot)


def test_copies_of_a_wal_under_constant_writing_are_of_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    endless = (
        "c.execute('PRAGMA journal_mode=WAL')\nc.execute('PRAGMA wal_autocheckpoint=5')\n"
        "c.execute('CREATE TABLE t (x)')\nc.execute('CREATE TABLE other (x)')\n"
        "import threading\n"
        "def write():\n"
        "  w = sqlite3.connect(c.execute('PRAGMA database_list').fetchone()[2], isolation_level=None)\n"
        "  for i in range(100000):\n"
        "    w.execute('BEGIN'); w.execute('INSERT INTO t VALUES (?)', (i,))\n"
        "    w.execute('INSERT INTO other VALUES (?)', (i,)); w.execute('COMMIT')\n"
        "threading.Thread(target=write, daemon=True).start()"
    )
    with other_process(path, endless):
        for _ in range(5):
            snapshot = take_snapshot(path, wait_s=20)
            with connect(snapshot) as connection:
                ((mine, last, other),) = connection.exec_driver_sql(
                    "SELECT (SELECT count(*) FROM t), (SELECT max(x) FROM t), (SELECT count(*) FROM other)"
                )
                assert mine == other == (0 if last is None else last + 1)
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            release(snapshot)


def test_a_hot_journal_is_rolled_back_in_the_copy_alone(tmp_path: Path) -> None:
    path = tmp_path / "source" / "x.sqlite"
    path.parent.mkdir()
    leave_behind(path, HOT)
    before = beside(path)
    assert "x.sqlite-journal" in before
    snapshot = take_snapshot(path, tmp_path / "scratch")
    assert rows(snapshot) == list(range(1, 201))
    assert beside(path) == before


def test_a_wal_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "source" / "x.sqlite"
    path.parent.mkdir()
    leave_behind(path, WAL)
    (path.parent / "x.sqlite-shm").unlink()
    path.parent.chmod(0o555)
    try:
        assert rows(take_snapshot(path, tmp_path / "scratch")) == [1, 2]
    finally:
        path.parent.chmod(0o755)


def test_a_wal_file_behind_a_symbolic_link_keeps_its_wal(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / "real" / "x.sqlite"
    leave_behind(path, WAL)
    (tmp_path / "link.sqlite").symlink_to(path)
    snapshot = take_snapshot(tmp_path / "link.sqlite")
    assert rows(snapshot) == [1, 2]
    assert snapshot.path == str(tmp_path / "link.sqlite")
    release(snapshot)


def test_a_plain_file_is_copied_for_a_reader_that_outlives_writers(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path, tmp_path / "scratch", outlives_writers=True)
    with connect(snapshot) as connection:
        reading = connection.exec_driver_sql("SELECT x FROM t ORDER BY x")
        make(path, "PRAGMA busy_timeout=0", "DELETE FROM t")
        assert [row[0] for row in reading] == [1, 2]
    check_unchanged(snapshot)


def test_an_unfinished_transaction_is_not_in_the_copy_of_a_plain_file(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    with other_process(path, "c.execute('BEGIN'); c.execute('INSERT INTO t VALUES (3)')"):
        assert rows(take_snapshot(path, tmp_path / "scratch", outlives_writers=True)) == [1, 2]


def test_a_file_that_nobody_may_write_is_read_where_it_is(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    path.chmod(0o444)
    assert not take_snapshot(path, tmp_path / "scratch", outlives_writers=True).is_copy


# ---- the same file later


def test_a_snapshot_travels_to_another_process(tmp_path: Path) -> None:
    snapshot = take_snapshot(shop(tmp_path / "x.sqlite"))
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot


def test_an_untouched_file_has_the_same_fingerprint(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    first = take_snapshot(path)
    check_unchanged(first)
    assert take_snapshot(path).fingerprint == first.fingerprint


def test_a_written_file_has_changed(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path)
    make(path, "INSERT INTO t VALUES (3)")
    with pytest.raises(SourceError) as caught:
        check_unchanged(snapshot)
    assert caught.value.code == "source_changed"


def test_a_write_that_forges_the_time_has_changed_too(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path)
    info = path.stat()
    make(path, "UPDATE t SET x = 7")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    with pytest.raises(SourceError):
        check_unchanged(snapshot)


def test_a_file_replaced_by_an_equal_one_has_changed(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path)
    copy = tmp_path / "y"
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    with pytest.raises(SourceError):
        check_unchanged(snapshot)


def test_a_private_copy_outlives_changes_of_its_source(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    leave_behind(path, WAL)
    snapshot = take_snapshot(path, tmp_path / "scratch")
    make(path, "INSERT INTO t VALUES (3)")
    check_unchanged(snapshot)
    assert rows(snapshot) == [1, 2]
    assert take_snapshot(path, tmp_path / "scratch").fingerprint != snapshot.fingerprint


def test_a_private_copy_that_is_gone_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    leave_behind(path, WAL)
    snapshot = take_snapshot(path, tmp_path / "scratch")
    release(snapshot)
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(SourceError, match="private copy"):
        check_unchanged(snapshot)


def test_releasing_a_plain_file_removes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot-mine"
    folder.mkdir()
    path = shop(folder / "x.sqlite")
    release(take_snapshot(path))
    assert path.exists()


def test_no_room_for_a_copy_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "PRAGMA journal_mode=WAL", "CREATE TABLE t (x)")
    (tmp_path / "file").touch()
    with pytest.raises(SourceError) as caught:
        take_snapshot(path, tmp_path / "file")
    assert caught.value.code == "source_copy_failed"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (sqlite3.SQLITE_CORRUPT, "source_damaged"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "source_damaged"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "source_locked"),
        (sqlite3.SQLITE_IOERR_READ, "source_unreadable"),
        (sqlite3.SQLITE_FULL, "source_temp_full"),
        (sqlite3.SQLITE_ERROR, "source_error"),
    ],
)
def test_result_codes_name_the_error(result: int, code: str) -> None:
    error = sqlite3.DatabaseError("words")
    error.sqlite_errorcode = result
    translated = to_source_error(error, "x.sqlite")
    assert translated.code == code
    assert str(translated).startswith("x.sqlite: ")


# ---- what a run that was cut off goes on with


def test_a_file_read_in_place_is_still_there_until_it_changes(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path)
    assert is_still_there(snapshot)
    make(path, "VACUUM")
    assert not is_still_there(snapshot)


def test_a_file_that_is_gone_is_not_there(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path)
    path.unlink()
    assert not is_still_there(snapshot)


def test_a_link_that_points_elsewhere_is_another_file(tmp_path: Path) -> None:
    link = tmp_path / "x.sqlite"
    link.symlink_to(shop(tmp_path / "one.sqlite"))
    snapshot = take_snapshot(link)
    assert is_still_there(snapshot)
    link.unlink()
    link.symlink_to(shop(tmp_path / "two.sqlite"))
    assert not is_still_there(snapshot)


def test_a_copy_of_a_wal_file_is_still_there_while_its_writers_go_on(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "PRAGMA journal_mode=WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
    snapshot = take_snapshot(path, tmp_path / "kept")
    keep(snapshot)
    make(path, "INSERT INTO t VALUES (2)")
    assert is_still_there(snapshot)
    assert rows(snapshot) == [1]
    make(Path(snapshot.read_path), "INSERT INTO t VALUES (3)")
    assert not is_still_there(snapshot)


def test_a_copy_of_any_other_file_is_of_use_only_while_the_file_is_as_it_was(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path, tmp_path / "kept", outlives_writers=True)
    assert snapshot.is_copy
    assert is_still_there(snapshot)
    make(path, "VACUUM")
    assert not is_still_there(snapshot)


def test_a_copy_whose_file_is_gone_is_of_no_use(tmp_path: Path) -> None:
    path = shop(tmp_path / "x.sqlite")
    snapshot = take_snapshot(path, tmp_path / "kept", outlives_writers=True)
    path.unlink()
    assert not is_still_there(snapshot)


def test_a_malformed_schema_is_told_whatever_its_name_is(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE named (a)")
    content = (
        path.read_bytes()
        .replace(b"CREATE TABLE named (a)", b"CREATE TABLE named a()")
        .replace(b"\x05named", b"\x05na\xffed")
    )
    content = content.replace(b"tablenamednamed", b"tablena\xffedna\xffed")
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"malformed database schema \(na\\xffed\)") as caught:
        take_snapshot(path)
    assert caught.value.code == "source_damaged"


def test_a_hot_journal_may_hold_the_first_page(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200)"
    make(path, "CREATE TABLE t (x, pad)", f"{numbers} INSERT INTO t SELECT i, zeroblob(900) FROM n")
    free_pages = "DELETE FROM t WHERE x > 100"  # which the first page counts
    leave_behind(path, f"{SPILL}c.executescript('BEGIN; {free_pages}; UPDATE t SET x = -x, pad = randomblob(900)')")
    with path.open("r+b") as file:
        file.write(b"torn" * 25)
    snapshot = take_snapshot(path)
    try:
        assert rows(snapshot) == list(range(1, 201))
    finally:
        release(snapshot)
