"""One run of a plan at a time, over one state folder.

The kernel drops the lock with the process that holds it, however that ends: no stale lock, no guess by process id.
The file stays: removing it would let two runs lock two files of one name.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from migrator.errors import LockHeldError, StoppedError

POLL_S = 0.2
#: Who looks whether the lock is held has it for a moment, and must not turn a run away.
_GLANCE_S = 0.05


@contextmanager
def plan_lock(
    state_dir: str | Path,
    plan_name: str,
    wait_s: float = 0.0,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Path]:
    """Hold the plan's lock, waiting up to `wait_s` for it. Raises LockHeldError, naming the holder."""
    path = lock_path(state_dir, plan_name)
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, plan_name, clock() + max(wait_s, _GLANCE_S), clock, sleep)
        _write_holder(descriptor)
        yield path
    finally:
        os.close(descriptor)


def lock_path(state_dir: str | Path, plan_name: str) -> Path:
    """
    >>> str(lock_path(".migrator", "mad/mall"))
    '.migrator/mad%2Fmall.lock'
    """
    return Path(state_dir) / f"{quote(plan_name, safe=' ')}.lock"


def is_locked(state_dir: str | Path, plan_name: str) -> bool:
    """Whether a command holds the plan's lock just now. Nothing is created."""
    try:
        descriptor = os.open(lock_path(state_dir, plan_name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, and let go at once: many may look.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def last_taken(state_dir: str | Path, plan_name: str) -> tuple[int | None, bool]:
    """When a command last took the plan's lock (ns), and whether one holds it now: equal while none has written."""
    path = lock_path(state_dir, plan_name)
    # Each taker writes its name into the file.
    return path.stat().st_mtime_ns if path.exists() else None, is_locked(state_dir, plan_name)


def held_since(state_dir: str | Path, plan_name: str) -> datetime | None:
    """Since when the lock's last holder has had it; None where that cannot be told."""
    try:
        return datetime.fromisoformat(json.loads(lock_path(state_dir, plan_name).read_bytes())["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoppedError(
            f"{path}: the lock file cannot be opened: {error.strerror}\n  Set settings.state_dir to a writable folder.",
            code="state_dir",
        ) from error


def _acquire(
    descriptor: int,
    path: Path,
    plan_name: str,
    until: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            left = until - clock()
            if left <= 0:
                raise _held_error(path, plan_name) from error
            sleep(min(POLL_S, left))
        else:
            return


def _write_holder(descriptor: int) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _held_error(path: Path, plan_name: str) -> LockHeldError:
    return LockHeldError(
        f'plan "{plan_name}" is being run by {_holder(path)}\n'
        f"  Wait until it has ended, or set settings.lock_wait. The lock is {path}.",
        code="locked",
    )


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
