"""The page on scheduling is true: its commands run, in order, on a machine that is a folder.

What only systemd itself could carry out is not run. The rest is: with the paths of the page below the folder, and
without sudo.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import units
from command import ROOT, environment
from migrator.cli.app import app

PAGE = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
FOLDERS = ("/opt/migrator", "/etc/migrator", "/etc/systemd", "/srv/shop", "/var/lib/migrator")
SUDO = re.compile(r"^sudo (-u migrator )?")
#: Only systemd could do these, or they would change the machine of the tests.
LEFT_OUT = ("systemctl", "journalctl", "useradd")
#: The installation: `test_deploy` runs the same commands as the image has them.
INSTALLS = ("python3 -m venv", "/opt/migrator/bin/pip")


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [SUDO.sub("", line) for block in blocks for line in block.splitlines()]


def files() -> dict[str, str]:
    """Path -> content, of the blocks that a path stands before."""
    named = r"^`(/\S+)`[^\n]*:\n\n```\w+\n(.*?)^```"
    return dict(re.findall(named, PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with a program, a source, and the files that the page has one write."""
    program = tmp_path / "opt/migrator/bin/migrator"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m migrator "$@"\n')
    program.chmod(0o755)
    for folder in ("etc/migrator/shop", "etc/systemd/system", "srv/shop", "var/lib/migrator"):
        (tmp_path / folder).mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "srv/shop/shop.sqlite")) as database:
        database.executescript("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1), (2)")
    for path, content in files().items():
        (tmp_path / path[1:]).write_text(moved(content, tmp_path))
    return tmp_path


def moved(text: str, root: Path) -> str:
    for folder in FOLDERS:
        text = text.replace(folder, f"{root}{folder}")
    return text


def shell(command: str, machine: Path, url: str) -> subprocess.CompletedProcess[str]:
    """From the checkout, as the page says. Nobody here is called migrator."""
    return subprocess.run(
        ["sh", "-ec", moved(command, machine).replace(" -o migrator", "")],
        cwd=ROOT,
        env={**environment(machine), "AWS_ENDPOINT_URL_DYNAMODB": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_that_needs_no_systemd_works(machine: Path, moto_url: str) -> None:
    run = [command for command in commands() if not command.startswith((*LEFT_OUT, *INSTALLS))]
    assert [command.split()[0] for command in run].count("env") == 3
    failed = [
        (done.returncode, done.stderr) for done in (shell(each, machine, moto_url) for each in run) if done.returncode
    ]
    assert failed == []
    assert (machine / "etc/systemd/system/migrator@.service").exists()


def test_the_units_command_runs_the_pages_plan(machine: Path, moto_url: str) -> None:
    command = " ".join(units.exec_start("shop"))
    done = shell(f"STATE_DIRECTORY=/var/lib/migrator/shop AWS_REGION=eu-central-1 {command}", machine, moto_url)
    assert done.returncode == 0, done.stderr
    assert list((machine / "var/lib/migrator/shop/shop/runs").iterdir())


def test_it_installs_as_the_image_does() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    image = re.findall(r"^RUN (.*(?:venv|pip).*)$", dockerfile, re.MULTILINE)
    page = [command for command in commands() if command.startswith(INSTALLS)]
    in_checkout = {"python -m": "python3 -m", "/build/requirements": "deploy/requirements", "/build/dist": "dist"}
    for there, here in in_checkout.items():
        image = [command.replace(there, here) for command in image]
    assert page == image


def test_the_commands_it_names_exist() -> None:
    named = set(re.findall(r"(?:bin/migrator|`migrator) (\w+)", PAGE))
    assert {"check", "run", "runs", "iam", "retry"} <= named <= set(app.commands)


def test_its_table_of_exit_codes_is_the_units() -> None:
    rows = re.findall(r"^\| (\d+) \| .*? \| (succeeds|fails)", PAGE, re.MULTILINE)
    told = {int(code) for code, fate in rows if fate == "succeeds"}
    (also,) = units.settings("SuccessExitStatus")
    assert told == {0, *map(int, also.split())}
    assert {int(code) for code, _ in rows} == {0, 1, 2, 3, 4, 5, 143}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize(("section", "kind"), [("Timer", "timer"), ("Unit", "service")])
def test_systemd_understands_its_drop_ins(tmp_path: Path, section: str, kind: str) -> None:
    (drop_in,) = re.findall(rf"^```ini\n(\[{section}\]\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (unit,) = (unit for unit in units.moved(tmp_path) if unit.suffix == f".{kind}")
    unit.write_text(unit.read_text() + drop_in)
    assert units.analyze("verify", str(unit)).stderr == ""
