"""The page on clusters is true: its commands make a cluster by hand, here on one host, and run a plan on it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from command import ROOT, environment
from migrator.cli.app import app
from migrator.run.cluster_address import read_address

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
HOST, PORT = "10.0.0.7", "8786"


def commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, own: dict[str, str]) -> Iterator[None]:
    """In the background, and gone in the end with all that it has started."""
    with subprocess.Popen(command, cwd=folder, env=own, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_cluster_by_hand_runs_a_plan_that_ships(tmp_path: Path, moto_url: str) -> None:
    for folder in ("fixtures", "mappings", "plans"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".migrator"))
    own = {**environment(tmp_path), "AWS_ENDPOINT_URL_DYNAMODB": moto_url}
    here = [text.replace(HOST, "127.0.0.1").replace(PORT, str(port)) for port in [free_port()] for text in commands()]
    *background, run = [[sys.executable, "-m", *shlex.split(text)] for text in here]
    assert [command[2] for command in (*background, run)] == ["dask", "dask", "migrator"]
    with ExitStack() as held:
        for command in background:
            held.enter_context(running(command, tmp_path, own))
        done = subprocess.run(run, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout


@pytest.mark.parametrize("address", sorted(set(re.findall(r"--cluster (\S+?)[`\s]", PAGE))))
def test_the_addresses_it_names_are_some(address: str) -> None:
    assert str(read_address(address)) == address


def test_the_commands_it_names_exist() -> None:
    assert set(re.findall(r"migrator (run|verify|retry|rollback)\b", PAGE)) <= set(app.commands)
