"""One measurement: a subject migrates a source into a sink of its own, and what that took."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from statistics import median

from benchmarks import sink as sinks
from benchmarks.case import Case
from benchmarks.subjects import ROOT, Command, Given, Subject, environment

TREE = Path(__file__).with_name("tree.py")
PER = 100_000


@dataclass(frozen=True, slots=True)
class Used:
    """What a command and all its processes used. `child_mib` is the largest but the first's; 0.0 if alone."""

    wall_s: float
    cpu_s: float
    leader_mib: float
    child_mib: float
    exit_code: int


@dataclass(frozen=True, slots=True)
class Result:
    """What writing `items` items took, start and end of the whole process included, and what the sink saw of it."""

    items: int
    wall_s: float
    cpu_s: float
    worker_mib: float
    leader_mib: float
    writing_s: float  #: from the first write to the last
    body_bytes: int
    throttled: int
    units: int
    peak_units_per_s: int

    @property
    def items_per_s(self) -> float:
        return self.items / self.wall_s

    @property
    def writing_items_per_s(self) -> float:
        """Of a single write there is no first and last."""
        return self.items / (self.writing_s or self.wall_s)

    @property
    def cpu_s_per_100k(self) -> float:
        return self.cpu_s / self.items * PER


_FIGURES = [field.name for field in fields(Result)]


class WorkFolder:
    """Sources and what runs leave behind: on the disk, since /tmp may be memory. Each source is made once."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def source(self, case: Case, rows: int) -> Path:
        path = self._path / f"{case.name}-{rows}.sqlite"
        if not path.exists():
            case.make_source(path, rows)
        return path

    def fresh(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(dir=self._path)


@cache
def byte_compile() -> None:
    """As pip does with what it installs, the peers among it: what runs from its sources may not be allowed to."""
    for folder in ("src", "benchmarks"):
        if not compileall.compile_dir(ROOT / folder, quiet=2):
            raise SystemExit(f"benchmarks: {folder} could not be compiled")


def used_by(command: Command, sink: sinks.Sink, folder: Path) -> Used:
    """Run a command; what it says goes to a log that is shown when it fails."""
    byte_compile()
    figures, log = folder / "used.json", folder / "log"
    whole = [sys.executable, TREE, figures, *command]
    with log.open("wb") as output:
        subprocess.run(whole, check=True, cwd=ROOT, env=environment(sink), stdout=output, stderr=subprocess.STDOUT)
    used = Used(**json.loads(figures.read_text()))
    if used.exit_code:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {used.exit_code}:\n{log.read_text()[-4000:]}")
    return used


def measure(
    subject: Subject,
    case: Case,
    rows: int,
    work: WorkFolder,
    *,
    latency_ms: float = 0,
    tls: bool = False,
    limit: float = 0,
) -> Result:
    """One turn; beyond `limit` units a second the sink throttles. Ends the benchmark unless it took each row once."""
    source = work.source(case, rows)
    with work.fresh() as name, sinks.running(latency_ms, tls=tls, units_per_s=limit) as sink:
        given = Given(case, source, sink, Path(name))
        used = used_by(subject.command(given), sink, given.folder)
        seen = sink.seen()
    if seen.items != rows * subject.times:
        raise SystemExit(f"{subject.name} wrote {seen.items} items of {rows * subject.times}")
    return Result(
        items=seen.items,
        wall_s=used.wall_s,
        cpu_s=used.cpu_s,
        worker_mib=used.child_mib or used.leader_mib,
        leader_mib=used.leader_mib,
        writing_s=seen.writing_s,
        body_bytes=seen.body_bytes,
        throttled=seen.throttled,
        units=seen.units,
        peak_units_per_s=seen.peak_units_per_s,
    )


@dataclass(frozen=True, slots=True)
class Turns:
    """What a subject did, time and again."""

    results: Sequence[Result]

    @property
    def middle(self) -> Result:
        """Each figure's median."""
        return Result(**{name: median(getattr(turn, name) for turn in self.results) for name in _FIGURES})

    def against(self, others: Turns, ratio: Callable[[Result, Result], float]) -> float:
        """The median of the ratios turn by turn: a machine whose speed drifts does not change them.

        Where one took fewer turns than the other, the ratio of their middles.
        """
        if len(self.results) != len(others.results):
            return ratio(self.middle, others.middle)
        return median(map(ratio, self.results, others.results))
