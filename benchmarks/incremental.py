"""What a run costs that has little to send: rendered as in a dry run, and compared with what the last one left."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from shutil import copyfile
from statistics import median

from benchmarks import sink as sinks
from benchmarks.bench import Bench
from benchmarks.cases import NINE
from benchmarks.measure import used_by
from benchmarks.report import Claim, Table, number
from benchmarks.subjects import write_plan

ROWS = 200_000
CHANGED = 100


def incremental(bench: Bench) -> tuple[Table, list[Claim]]:
    """A dry run and a run by hash in turn, of one source of which a hundred rows change before each."""
    dry, by_hash, sent = [], [], []
    with bench.work.fresh() as name, sinks.running() as sink:
        folder = Path(name)
        source = folder / "source.sqlite"
        copyfile(bench.work.source(NINE, ROWS), source)
        run = [sys.executable, "-m", "migrator", "run"]
        plan = write_plan(folder, NINE.mapping, source, 1, "incremental: hash")
        (folder / "plain").mkdir()
        plain = write_plan(folder / "plain", NINE.mapping, source, 1)
        used_by([*run, plan], sink, folder)
        for turn in range(2 * bench.scale.turns + 1):
            _change(source, turn)
            before = sink.seen().items
            dry.append(used_by([*run, plain, "--dry-run"], sink, folder).cpu_s)
            by_hash.append(used_by([*run, plan], sink, folder).cpu_s)
            sent.append(sink.seen().items - before)
    if set(sent) != {CHANGED}:
        raise SystemExit(f"{sent} items were sent where {CHANGED} rows had changed each time")
    rows = [["dry run, everything rendered", number(median(dry))], ["`incremental: hash`", number(median(by_hash))]]
    ratio = median(one / other for one, other in zip(by_hash, dry, strict=True))
    note = (
        f"{NINE.what}, {ROWS:,} rows of which {CHANGED} changed; one worker, medians of several turns, start included."
    )
    return Table("Only what changed", note, ["", "CPU s"], rows), [
        Claim("`incremental: hash` against a dry run: CPU", ratio, 1.5, "×", most=True)
    ]


def _change(source: Path, turn: int) -> None:
    with sqlite3.connect(source) as connection:
        step = ROWS // CHANGED
        connection.execute("UPDATE people SET visits = -visits - 1 WHERE id % ? = ?", (step, turn))
    connection.close()
