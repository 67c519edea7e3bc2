"""Another program that is using the SQLite file, and what is left when it is killed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

#: A tiny cache makes SQLite write uncommitted pages into the file long before the transaction ends.
SPILL = "c.execute('PRAGMA cache_size=2')\n"


@contextmanager
def other_process(path: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script with a connection `c` to the file in another process, and wait until it is done; then kill it."""
    head = f"import os, sqlite3, sys\nc = sqlite3.connect({str(path)!r}, isolation_level=None, timeout=20)\n"
    command = [sys.executable, "-c", f"{head}{script}\nprint('ready', flush=True)\nsys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def leave_behind(path: Path, script: str) -> None:
    """Kill the process after its script: its -wal or hot journal stays."""
    with other_process(path, script):
        pass


@contextmanager
def committing_all_the_time(path: Path, *statements: str) -> Iterator[None]:
    """Another process that commits transactions of these statements without a pause, `?` being their number."""
    script = (
        "import itertools, threading\n"
        "def commit():\n"
        f"    c = sqlite3.connect({str(path)!r}, isolation_level=None, timeout=20)\n"
        "    for number in itertools.count(1):\n"
        "        c.execute('BEGIN IMMEDIATE')\n"
        f"        for statement in {statements!r}: c.execute(statement, (number,))\n"
        "        c.execute('COMMIT')\n"
        "threading.Thread(target=commit, daemon=True).start()"
    )
    with other_process(path, script):
        yield


def execute(path: Path, statement: str) -> None:
    """One transaction of a program that waits for a lock as long as sqlite3 does by default: five seconds."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def beside(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in the file's folder: what an untouched folder keeps."""
    return {p.name: (p.stat().st_mtime_ns, p.stat().st_ino, p.read_bytes()) for p in path.parent.iterdir()}
