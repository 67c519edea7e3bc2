"""What it costs a run that nothing of it gets lost: CPU seconds as it is, and with what protects it switched off.

    .venv/bin/python -m benchmarks.safeguards [TURNS [ROWS]]

Nine columns, answers after 5 ms, two workers. The subjects take turns, so that what else runs on the machine meets all.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.cases import NINE
from benchmarks.measure import WorkFolder, measure
from benchmarks.native import BUILT
from benchmarks.subjects import WORKERS, Command, Given, Subject, write_plan

TURNS, ROWS = 5, 300_000
LATENCY_MS = 5

# A name that is not there any more ends the benchmark instead of switching nothing off.
NO_RECORDS = """
import math
from migrator.run import writing
from migrator.run.checkpoint import Checkpoint
assert writing.PART_S
writing.PART_S = math.inf
for name in ("begin", "record", "pause", "end"):
    assert callable(getattr(Checkpoint, name))
    setattr(Checkpoint, name, lambda *given: None)
"""
NO_COPY = """
from migrator.source import connection, snapshot
for module in (connection, snapshot):
    assert callable(module.is_writable)
    module.is_writable = lambda path: False
"""
#: who -> what is switched off
PATCHES: Mapping[str, str] = {
    "as it is": "",
    "no checkpoints": NO_RECORDS,
    "no checkpoints, no copy of the source": NO_RECORDS + NO_COPY,
}


def patched(name: str) -> Subject:
    def command(given: Given) -> Command:
        plan = write_plan(given.folder, given.case.mapping, given.source)
        return [sys.executable, "-c", f"{PATCHES[name]}\nfrom migrator.cli import main; main()", "run", plan]

    return Subject(f"migrator, {WORKERS} workers, {name}", command)


def main(turns: int = TURNS, rows: int = ROWS) -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[float]] = {name: [] for name in PATCHES}
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        work = WorkFolder(Path(folder))
        for turn in range(turns):
            first = turn % len(PATCHES)
            # Who copies after one who did not pays for memory that the system has to find.
            for name in (*list(PATCHES)[first:], *list(PATCHES)[:first]):
                found[name].append(measure(patched(name), NINE, rows, work, latency_ms=LATENCY_MS).cpu_s_per_100k)
    *_, least = map(median, found.values())
    for name, figures in found.items():
        turned = " ".join(f"{figure:.2f}" for figure in figures)
        print(f"{name:40}{median(figures):8.3f} CPU s/100k{median(figures) / least - 1:+8.1%}   {turned}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
