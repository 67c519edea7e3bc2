"""The DynamoDB engines that the conformance tests run on: started once, stopped with the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DYNALITE = PROJECT / ".cache/npm/node_modules/dynalite/cli.js"
START_S = 20.0


class EngineMissing(Exception):
    """The engine is not installed here; the text says what would install it."""


def engine_names() -> list[str]:
    """Name the engines to run on: all of ours, or just what DYNAMODB_ENDPOINT points to."""
    return ["endpoint"] if os.environ.get("DYNAMODB_ENDPOINT") else ["moto", "dynalite"]


def dynalite_is_installed() -> bool:
    return shutil.which("node") is not None and DYNALITE.exists()


@contextmanager
def dynalite(create_table_ms: int = 0) -> Iterator[str]:
    """Run dynalite in memory and give its URL."""
    if not dynalite_is_installed():
        raise EngineMissing("dynalite is not installed (make dynalite; needs npm and node)")
    port = _free_port()
    times = [f"--{kind}TableMs={create_table_ms}" for kind in ("create", "delete", "update")]
    process = subprocess.Popen(["node", str(DYNALITE), "--host=127.0.0.1", f"--port={port}", *times])
    try:
        _await_port(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"dynalite does not listen on port {port}")
