"""Tables and claims into benchmarks/RESULTS.md, with the machine they were made on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import requires, version
from pathlib import Path

from benchmarks.subjects import AIOBOTOCORE, PEERS, ROOT


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the page."""

    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]

    def to_markdown(self) -> str:
        lines = [f"## {self.title}", "", self.note, "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*lines, *map(_line, self.rows)])


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure that was asked for: at least `asked`, or with `most` at most."""

    what: str
    found: float
    asked: float
    unit: str
    most: bool = False

    @property
    def holds(self) -> bool:
        return self.found <= self.asked if self.most else self.found >= self.asked


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 1000:
        digits = len(str(int(value)))
        return f"{round(value, 3 - digits):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def claims_table(claims: Iterable[Claim]) -> Table:
    rows = [
        [
            claim.what,
            f"{number(claim.found)} {claim.unit}",
            f"{'at most' if claim.most else 'at least'} {claim.asked:,} {claim.unit}",
            "yes" if claim.holds else "**no**",
        ]
        for claim in claims
    ]
    return Table("What was asked for", "From the tables below.", ["", "found", "asked", "holds"], rows)


def page(tables: Iterable[Table], claims: Iterable[Claim]) -> str:
    head = f"""# Results

Written by `make bench`; how it measures is in [README.md](README.md). Figures of one machine in one hour:
compare them with each other, not with another machine's.

{_machine()}
"""
    return "\n\n".join([head.rstrip(), *(table.to_markdown() for table in (claims_table(claims), *tables))]) + "\n"


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    named = re.search(r"model name\s*: (.*)", cpuinfo)
    processor = named[1] if named else platform.machine()
    others = _versions_in(AIOBOTOCORE, "aiobotocore", "botocore")
    return f"""\
- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, migrator at {_revision()}
- {processor}, {os.cpu_count()} cores, Linux {platform.release()}; load average at the end {os.getloadavg()[0]:.1f}
- Python {platform.python_version()}; migrator with {_dependencies()}
- peers: {_versions_in(PEERS, "awswrangler", "boto3", "pynamodb")}; {others}"""


def _revision() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or version("migrator")


def _dependencies() -> str:
    """What an installation without extras brings."""
    needed = [each for each in requires("migrator") or () if "extra ==" not in each]
    names = [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in needed]
    return ", ".join(f"{name} {version(name)}" for name in names)


def _versions_in(python: Path, *names: str) -> str:
    program = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return subprocess.run([python, "-c", program, *names], capture_output=True, text=True, check=True).stdout.strip()
