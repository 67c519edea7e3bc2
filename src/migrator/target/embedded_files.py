"""The files by which commands find an embedded DynamoDB, and the locks by which they share one.

STATE_DIR/local/
  tables.jsonl   the tables, while no server runs
  server.json    where the running server is
  users.lock     shared: held by every command that uses the server; the server takes it alone to stop
  start.lock     held while one command looks for a server or starts one
  store.lock     held by the server whose tables these are

A running `migrator local` is found by a file of the same kind in the user's runtime folder. What such a file says is
believed only if the server there answers with the token in the file: ports and process ids are used again.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec import Struct, to_builtins

TABLES, SERVER = "tables.jsonl", "server.json"
USERS_LOCK, START_LOCK, STORE_LOCK = "users.lock", "start.lock", "store.lock"
PROBE_PATH = "/migrator-local"
START_S = 60.0
PROBE_S = 10.0


class PortTakenError(OSError):
    """Something else listens on that port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} of 127.0.0.1 is in use")


class Place(Struct, frozen=True):
    """Where a server is."""

    url: str
    pid: int
    token: str


def new_token() -> str:
    """Tell this server from whatever else may come to listen on its port."""
    return secrets.token_hex(16)


def folder_of(state_dir: Path) -> Path:
    """Make the folder that is the user's alone."""
    folder = state_dir / "local"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def registry_path() -> Path:
    """Where `migrator local` says that it runs: one file a user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "migrator-local.json"
    return Path(tempfile.gettempdir()) / f"migrator-local-{os.getuid()}.json"


def register(path: Path, place: Place) -> None:
    """Write `place` for this user's eyes only."""
    # mkstemp creates with mode 0600.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with open(descriptor, "w", encoding="utf-8") as stream:
        json.dump(to_builtins(place), stream)
    os.replace(draft, path)


def unregister(path: Path, place: Place) -> None:
    """Take `place` away, unless another server has registered since."""
    if _read(path) == place:
        path.unlink(missing_ok=True)


def find_running(path: Path) -> str | None:
    """Give the URL of the server registered there, if it is the one that answers."""
    place = _read(path)
    return place.url if place and _probe(place) else None


def _read(path: Path) -> Place | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8") as stream, suppress(ValueError, TypeError, KeyError):
        # The temporary folder is open to all: a file of someone else's could lead the data elsewhere.
        if os.fstat(descriptor).st_uid == os.getuid():
            said = json.load(stream)
            return Place(str(said["url"]), int(said["pid"]), str(said["token"]))
    return None


def _probe(place: Place) -> bool:
    port = re.fullmatch(r"http://127\.0\.0\.1:(\d{1,5})", place.url)
    if port is None:
        return False
    with closing(http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=PROBE_S)) as connection:
        try:
            connection.request("GET", PROBE_PATH)
            answer = json.loads(connection.getresponse().read(1000))
        except (OSError, http.client.HTTPException, ValueError):
            return False
    return isinstance(answer, dict) and answer.get("token") == place.token


# ---- locks


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Be one of the users; waits while a stopping server saves."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        # Said aloud, since a forked child may still have the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Be the only one. BlockingIOError when another stays for longer than `timeout_s`."""
    descriptor = _open(path)
    try:
        _lock_within(descriptor, path, timeout_s)
        yield
    finally:
        os.close(descriptor)


def lock_exclusively(path: Path) -> int:
    """Wait to be the only one, and stay so until this process ends."""
    descriptor = _open(path)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _lock_within(descriptor: int, path: Path, timeout_s: float) -> None:
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= give_up:
                raise BlockingIOError(f"{path.parent}: the tables are in use by another process") from error
        time.sleep(0.05)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
