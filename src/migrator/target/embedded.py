"""The DynamoDB of `--local` and `migrator local`, seen from the commands that use it.

It runs in a process of its own, needs no account, no Docker and no network, and keeps its tables in the state folder
between commands. A running `migrator local` comes first; commands on one state folder at the same time share a server.
Credentials are made up: those of the environment are never used for it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from migrator.errors import TargetError, UsageError
from migrator.extras import require_extra
from migrator.target import embedded_files as files

DEFAULT_PORT: Final = 8000
LOCAL_REGION: Final = "us-east-1"
#: Top-level packages of the extra `local`.
NEEDED_PACKAGES: Final = ("moto", "py_partiql_parser", "flask", "flask_cors", "werkzeug")
#: How long a command waits to learn whether it was the server's last user.
LAST_USER_S: Final = 1.0


def local_target(endpoint_url: str) -> dict[str, Any]:
    """Give the settings of a client for an embedded server: `TargetSettings(**local_target(url))`.

    >>> local_target("http://127.0.0.1:8000")["local"]
    True
    """
    return {
        "region": LOCAL_REGION,
        "endpoint_url": endpoint_url,
        "profile": None,
        "role_arn": None,
        "local": True,
    }


@contextmanager
def embedded(state_dir: Path) -> Iterator[str]:
    """Give the URL of an embedded DynamoDB: of a running `migrator local`, else of one that `state_dir` keeps."""
    running = files.find_running(files.registry_path())
    if running:
        yield running
        return
    _require_extra()
    folder = files.folder_of(Path(state_dir))
    server: subprocess.Popen[str] | None = None
    try:
        with files.shared(folder / files.USERS_LOCK):
            with files.locked(folder / files.START_LOCK, timeout_s=2 * files.START_S):
                url = files.find_running(folder / files.SERVER)
                if url is None:
                    server, url = _start(folder)
            yield url
    finally:
        if server:
            _await_saved(server)


def serve(port: int | None, state_dir: Path | None, on_ready: Callable[[str], None] = print) -> None:
    """Be `migrator local`: serve in the foreground until SIGINT, SIGTERM or SIGHUP, then save.

    `port` 0 takes any free one; without a `state_dir` nothing is kept. `on_ready` is given the URL.
    """
    _require_extra()
    from migrator.target import embedded_server, embedded_store

    folder = files.folder_of(Path(state_dir)) if state_dir else None
    registry = [files.registry_path(), *([folder / files.SERVER] if folder else [])]
    wanted = DEFAULT_PORT if port is None else port
    try:
        with embedded_server.stopping_on_signals() as stop:
            embedded_server.run(wanted, folder, registry, stop, on_ready)
    except files.PortTakenError as error:
        raise UsageError(
            f"{error}; choose another one with --port (0 takes any free one)", code="port_taken"
        ) from error
    except BlockingIOError as error:
        raise UsageError(f"{error}; wait until it has ended", code="local_in_use") from error
    except embedded_store.DamagedStoreError as error:
        raise TargetError(str(error), code="local_damaged") from error


def _require_extra() -> None:
    require_extra("local", "the embedded DynamoDB", *NEEDED_PACKAGES)


def _start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "migrator.target.embedded_server", str(folder.parent)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment(),
            # Ctrl-C is for the command; the server goes when its users have gone.
            start_new_session=True,
        )
    said = _hear(server, files.START_S)
    if "url" not in said:
        _end(server)
        reason = said.get("error") or f"it did not start; see {folder / 'server.log'}"
        raise TargetError(f"the embedded DynamoDB: {reason}", code="local_not_started")
    return server, said["url"]


def _environment() -> dict[str, str]:
    ours = str(Path(__file__).resolve().parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


def _hear(server: subprocess.Popen[str], timeout_s: float) -> dict[str, str]:
    """Give the next line that the server says; nothing when it ends or stays silent."""
    assert server.stdout is not None
    readable, _, _ = select.select([server.stdout], [], [], timeout_s)
    line = server.stdout.readline() if readable else ""
    return json.loads(line) if line else {}


def _await_saved(server: subprocess.Popen[str]) -> None:
    """Wait until the tables are saved, unless another command still uses the server."""
    assert server.stdout is not None
    with server.stdout:
        readable, _, _ = select.select([server.stdout], [], [], LAST_USER_S)
        if readable:
            server.wait()


def _end(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None
    server.terminate()
    try:
        server.wait(files.PROBE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    server.stdout.close()
