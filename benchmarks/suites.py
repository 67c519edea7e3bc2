"""The tables of RESULTS.md: what is measured for each, and what was asked for."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks import sink as sinks
from benchmarks.bench import Bench
from benchmarks.cases import CASES, ENTITIES, NARROW, NESTED, NINE, PROVED, hundred_entities
from benchmarks.efficiency import efficiency
from benchmarks.fleet import fleet
from benchmarks.incremental import incremental
from benchmarks.measure import PER, Result, Turns, Used, used_by
from benchmarks.report import Claim, Table, number
from benchmarks.subjects import (
    BATCH_WRITER,
    FLOOR,
    OURS,
    OURS_ALONE,
    PEER_SUBJECTS,
    WORKERS,
    Command,
    Given,
    Subject,
    migrator,
    write_plan,
)

Finding = tuple[Table, list[Claim]]

MEMORY_MIB = 150
LINEAR = 1.2  #: cost that grows by no more than this, for each, counts as linear; turns differ by a tenth

FIGURES: Mapping[str, Callable[[Result], str]] = {
    "items/s": lambda result: number(result.items_per_s),
    "items/s while writing": lambda result: number(result.writing_items_per_s),
    "MB/s": lambda result: number(result.body_bytes / result.wall_s / 1e6),
    "CPU s": lambda result: number(result.cpu_s),
    "CPU s/100k": lambda result: number(result.cpu_s_per_100k),
    "worker's peak MiB": lambda result: number(result.worker_mib),
    "coordinator's peak MiB": lambda result: number(result.leader_mib),
    "units/s while writing": lambda result: number(result.units / result.writing_s),
    "most units in a second": lambda result: number(result.peak_units_per_s),
    "requests throttled": lambda result: f"{result.throttled:,.0f}",
}


def figures(title: str, note: str, names: list[str], results: Mapping[tuple[str, ...], Result], *heads: str) -> Table:
    """A table of these figures, a line for each result; `heads` name what tells the results apart."""
    rows = [[*key, *(FIGURES[name](result) for name in names)] for key, result in results.items()]
    return Table(title, note, [*heads, *names], rows)


def less_cpu(ours: Turns, theirs: Turns) -> float:
    return ours.against(theirs, lambda one, other: other.cpu_s_per_100k / one.cpu_s_per_100k)


def faster(ours: Turns, theirs: Turns) -> float:
    return ours.against(theirs, lambda one, other: one.items_per_s / other.items_per_s)


def peers(bench: Bench) -> Finding:
    """Everyone, with the table of nine columns."""
    subjects = (OURS, OURS_ALONE, FLOOR, *PEER_SUBJECTS)
    at_once, late = (bench.beside_peers(subjects, NINE, latency_ms=latency_ms) for latency_ms in (0, 5))
    rows = [
        [
            subject.name,
            *(FIGURES["items/s"](found[subject].middle) for found in (at_once, late)),
            *(FIGURES["CPU s/100k"](found[subject].middle) for found in (at_once, late)),
            *(number(less_cpu(found[subject], found[BATCH_WRITER])) for found in (at_once, late)),
            number(faster(late[subject], late[BATCH_WRITER])),
            FIGURES["worker's peak MiB"](late[subject].middle),
        ]
        for subject in subjects
    ]
    names = [
        "items/s, 0 ms",
        "5 ms",
        "CPU s/100k, 0 ms",
        "5 ms",
        "× less CPU, 0 ms",
        "5 ms",
        "× items/s, 5 ms",
        "peak MiB",
    ]
    note = f"""{NINE.what}. {bench.scale.rows:,} rows for migrator, {bench.scale.peer_rows:,} for the peers, and the
floor sends those ten times; the sink answers at once, or after 5 ms. `×`: against batch_writer, how much less CPU
and how many times its items a second, by the median of the turns' own ratios where both took as many."""
    return Table("Beside its peers", note, ["", *names], rows), [
        *(
            Claim(
                f"{NINE.what}: × less CPU than batch_writer, {when}",
                less_cpu(found[OURS], found[BATCH_WRITER]),
                25,
                "×",
            )
            for when, found in (("5 ms", late), ("answers at once", at_once))
        ),
        Claim(f"{NINE.what}: × batch_writer's items a second, 5 ms", faster(late[OURS], late[BATCH_WRITER]), 40, "×"),
    ]


def shapes(bench: Bench) -> Finding:
    """Other data, and TLS."""
    rows, claims = [], []
    asked = ((NINE, True, 20, None), (NARROW, False, 20, 30), (NESTED, False, 20, 30))
    for case, tls, cpu_asked, items_asked in asked:
        name = f"{case.what}{'; over TLS' if tls else ''}"
        found = bench.beside_peers((OURS, BATCH_WRITER), case, latency_ms=5, tls=tls)
        ours, theirs = found[OURS], found[BATCH_WRITER]
        compared = [FIGURES[figure](each.middle) for figure in ("items/s", "CPU s/100k") for each in (ours, theirs)]
        ratios = [number(ratio(ours, theirs)) for ratio in (less_cpu, faster)]
        rows.append([name, *compared, *ratios, FIGURES["worker's peak MiB"](ours.middle)])
        claims.append(Claim(f"{name}: × less CPU than batch_writer", less_cpu(ours, theirs), cpu_asked, "×"))
        if items_asked is not None:
            claims.append(Claim(f"{name}: × batch_writer's items a second", faster(ours, theirs), items_asked, "×"))
    names = ["items/s", "batch_writer's", "CPU s/100k", "batch_writer's", "× less CPU", "× items/s", "peak MiB"]
    scale = bench.scale
    note = f"""5 ms, {WORKERS} workers and {scale.rows:,} rows, beside batch_writer with {scale.peer_rows:,}. Over TLS
both verify the certificate."""
    return Table("Other shapes, and TLS", note, ["", *names], rows), claims


def by_rows(bench: Bench) -> Finding:
    """The cost of an item must not depend on how many there are."""
    *_, before, most = bench.scale.steps
    taking_turns = (*((OURS, rows) for rows in bench.scale.steps), (BATCH_WRITER, bench.scale.peer_rows))
    *ours, theirs = bench.in_turn(taking_turns, NINE, latency_ms=5)
    results = dict(zip(bench.scale.steps, ours, strict=True))
    proved = bench.turn(OURS, PROVED, most, latency_ms=5)
    found: dict[tuple[str, ...], Result] = {
        ("nine", f"{rows:,}", number(less_cpu(turns, theirs)), number(faster(turns, theirs))): turns.middle
        for rows, turns in results.items()
    }
    found["proved", f"{most:,}", "", ""] = proved
    note = f"""5 ms, {WORKERS} workers; the fixed cost of a start shows in the shortest. "proved": {PROVED.what};
everything is read twice."""
    names = ["items/s", "items/s while writing", "CPU s/100k", "worker's peak MiB", "coordinator's peak MiB"]
    growth = results[most].against(results[before], lambda one, other: one.cpu_s_per_100k / other.cpu_s_per_100k)
    return figures("Cost against rows", note, names, found, "", "rows", "× less CPU", "× items/s"), [
        Claim(f"{NINE.what}: × less CPU than batch_writer, {most:,} rows", less_cpu(results[most], theirs), 25, "×"),
        Claim(f"{NINE.what}: × batch_writer's items a second, {most:,} rows", faster(results[most], theirs), 40, "×"),
        Claim(f"CPU for each item: {most:,} rows against {before:,}", growth, LINEAR, "×", most=True),
        *(
            Claim(f"{name}, {most:,} rows: a worker's peak memory", result.worker_mib, MEMORY_MIB, "MiB", most=True)
            for name, result in (("nine", results[most].middle), ("proved", proved))
        ),
    ]


def by_columns(bench: Bench) -> Finding:
    """The cost of a column must not depend on how many there are."""
    counts, scale = (5, 20, 100), bench.scale
    # A ratio of differences, in which a machine that slows down within a turn counts for much: the median of many.
    turns = [
        [bench.turn(OURS, CASES[f"columns{n}"], scale.column_rows) for n in counts] for _ in range(2 * scale.turns + 1)
    ]
    growth = median(map(_growth, turns))
    found = dict(zip(counts, (Turns(each).middle for each in zip(*turns, strict=True)), strict=True))
    rows = [
        [str(columns), FIGURES["items/s"](result), FIGURES["CPU s/100k"](result)] for columns, result in found.items()
    ]
    note = f"0 ms, {WORKERS} workers, {scale.column_rows:,} rows."
    return Table("Cost against columns", note, ["columns", "items/s", "CPU s/100k"], rows), [
        Claim("CPU for one more column: from 20 to 100 against from 5 to 20", growth, LINEAR, "×", most=True)
    ]


def _growth(results: Sequence[Result]) -> float:
    """CPU for a column from 20 to 100 against one from 5 to 20."""
    few, some, many = (result.cpu_s_per_100k for result in results)
    return ((many - some) / (100 - 20)) / ((some - few) / (20 - 5))


def one_worker(bench: Bench) -> Finding:
    found: dict[tuple[str, ...], Result] = {}
    claims = []
    for case, latency_ms, asked in ((NINE, 5, 60_000), (CASES["kb"], 20, 40_000)):
        result = bench.turn(OURS_ALONE, case, bench.scale.alone_rows, latency_ms=latency_ms)
        found[case.what, f"{latency_ms} ms"] = result
        what = f"one worker, {case.what}, {latency_ms} ms: items a second while writing"
        claims.append(Claim(what, result.writing_items_per_s, asked, "/s"))
    names = ["items/s", "items/s while writing", "CPU s/100k", "worker's peak MiB"]
    return figures("One worker", f"{bench.scale.alone_rows:,} rows.", names, found, "", "latency"), claims


def large_items(bench: Bench) -> Finding:
    (turns,) = bench.in_turn([(OURS, bench.scale.large_rows)], CASES["large"], latency_ms=5)
    result = turns.middle
    note = f"5 ms, {WORKERS} workers, {bench.scale.large_rows:,} rows."
    names = ["items/s", "MB/s", "CPU s/100k", "worker's peak MiB", "coordinator's peak MiB"]
    return figures("Large items", note, names, {(CASES["large"].what,): result}, ""), [
        Claim("items of 300 KB: a worker's peak memory", result.worker_mib, MEMORY_MIB, "MiB", most=True)
    ]


def budget(bench: Bench) -> Finding:
    """A budget of write units: ours to keep, or to find by being throttled."""
    units_per_s = bench.scale.units_per_s
    rows = units_per_s * 10
    kept = bench.turn(migrator(WORKERS, f"write_rate: {units_per_s}"), NINE, rows)
    throttled = bench.turn(OURS, NINE, rows, limit=units_per_s)
    found: dict[tuple[str, ...], Result] = {("`write_rate` is set",): kept, ("the table throttles",): throttled}
    note = (
        f"{units_per_s:,} units a second, one an item, {rows:,} rows, {WORKERS} workers, 0 ms; a second's may be saved."
    )
    names = ["units/s while writing", "most units in a second", "requests throttled", "CPU s/100k"]
    off = abs(kept.units / kept.writing_s / units_per_s - 1) * 100
    return figures("Within a budget of write units", note, names, found, ""), [
        Claim("`write_rate`: how far off its use is", off, 5, "%", most=True)
    ]


def starting(bench: Bench) -> Finding:
    """Commands that do little."""
    program = Path(sys.executable).with_name("migrator")
    with bench.work.fresh() as name, sinks.running() as sink:
        folder = Path(name)
        schema, mapping = hundred_entities()
        connection = sqlite3.connect(folder / "hundred.sqlite")
        connection.executescript(schema)
        connection.close()
        hundred = write_plan(folder, mapping, folder / "hundred.sqlite")
        one_row = Given(NARROW, bench.work.source(NARROW, 1), sink, Path(tempfile.mkdtemp(dir=folder)))
        commands: dict[str, Command] = {
            "`migrator --help`": [program, "--help"],
            f"`migrator check`, {ENTITIES} entities": [program, "check", hundred],
            "`migrator run`, one row": OURS.command(one_row),
            "batch_writer, one row": BATCH_WRITER.command(one_row),
        }
        used = {
            words: [used_by(command, sink, folder) for _ in range(2 * bench.scale.turns + 1)]
            for words, command in commands.items()
        }
    cpu_s = {words: median(turn.cpu_s for turn in turns) for words, turns in used.items()}
    rows = [
        [words, number(cpu_s[words]), number(median(turn.wall_s for turn in turns))] for words, turns in used.items()
    ]
    asked = zip(commands, (0.3, 1.0), strict=False)
    return Table("Starting", "The median of several.", ["", "CPU s", "seconds"], rows), [
        Claim(f"{words}: CPU", cpu_s[words], most, "s", most=True) for words, most in asked
    ]


def via(bench: Bench) -> Finding:
    """Rendering to files for an import."""
    rows = bench.scale.steps[-1]
    table = []
    speed = 0.0
    for subject in (OURS_ALONE, OURS):
        turns = [files_written(bench, subject, rows) for _ in range(bench.scale.turns)]
        used = [turn for turn, _ in turns]
        speed = rows / median(turn.wall_s for turn in used)
        cpu_s = median(turn.cpu_s for turn in used)
        memory = max(turn.child_mib or turn.leader_mib for turn in used)
        compressed = turns[0][1] / 1e6
        table.append([subject.name, number(speed), number(cpu_s / rows * PER), number(memory), number(compressed)])
    names = ["", "items/s", "CPU s/100k", "worker's peak MiB", "MB of files"]
    note = f"`run --via DIR`, {NINE.what}, {rows:,} rows; the start and the end of the process included."
    return Table("Files for an import", note, names, table), [
        Claim(f"files for an import, {WORKERS} workers, {NINE.what}: items a second", speed, 120_000, "/s")
    ]


def files_written(bench: Bench, subject: Subject, rows: int) -> tuple[Used, int]:
    """What it took, and the bytes of the files. Ends the benchmark unless each row is there once."""
    with bench.work.fresh() as name, sinks.running() as sink:
        folder = Path(name)
        given = Given(NINE, bench.work.source(NINE, rows), sink, folder)
        used = used_by([*subject.command(given), "--via", folder / "out"], sink, folder)
        files = list((folder / "out").rglob("*.json.gz"))
        lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
        keys = {json.loads(line)["Item"]["PK"]["S"] for line in lines}
        if (len(lines), len(keys)) != (rows, rows):
            raise SystemExit(f"{subject.name} wrote {len(lines)} items with {len(keys)} keys, of {rows}")
        return used, sum(file.stat().st_size for file in files)


SUITES: Mapping[str, Callable[[Bench], Finding]] = {
    "peers": peers,
    "shapes": shapes,
    "rows": by_rows,
    "columns": by_columns,
    "one-worker": one_worker,
    "large": large_items,
    "budget": budget,
    "incremental": incremental,
    "fleet": fleet,
    "starting": starting,
    "via": via,
    "efficiency": efficiency,
}
