"""The systemd units of deploy/, read and made fit for another folder than the one they are for. Nothing starts them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from command import ROOT

UNITS = ROOT / "deploy" / "systemd"
PROGRAM = "/opt/migrator"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def settings(key: str, kind: str = "service") -> list[str]:
    """All values that a unit gives a key."""
    text = (UNITS / f"migrator@.{kind}").read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def exec_start(name: str) -> list[str]:
    (line,) = settings("ExecStart")
    return shlex.split(line.replace("%i", name))


def moved(folder: Path) -> list[Path]:
    """Both units as those of `shop`, with a program in the folder: one that is missing is a finding."""
    program = folder / "program" / "bin" / "migrator"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    paths = []
    for unit in sorted(UNITS.iterdir()):
        path = folder / unit.name.replace("@", "@shop")
        path.write_text(unit.read_text(encoding="utf-8").replace(PROGRAM, str(folder / "program")), encoding="utf-8")
        paths.append(path)
    return paths


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def allowed_calls() -> set[str]:
    """The system calls of the unit's filter, by systemd's own sets."""
    sets: dict[str, list[str]] = {}
    name = ""
    for line in _ANSI.sub("", analyze("syscall-filter", "--no-pager").stdout).splitlines():
        if line.startswith("@"):
            name = line.split()[0]
            sets[name] = []
        elif line.startswith("    ") and not line.lstrip().startswith("#"):
            sets[name].append(line.strip())

    def calls(entry: str) -> Iterator[str]:
        if not entry.startswith("@"):
            yield entry
            return
        for each in sets[entry]:
            yield from calls(each)

    # systemd.exec(5), SystemCallFilter=: these go without saying.
    return {call for entry in ("@default", *settings("SystemCallFilter")) for call in calls(entry)}
