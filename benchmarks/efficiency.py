"""What a second worker is worth, beside the first: processes of this machine, and workers of a Dask cluster."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.cases import NINE
from benchmarks.measure import Result
from benchmarks.report import Claim, Table, number
from benchmarks.subjects import migrator, on_cluster

LATENCY_MS = 5
WORKERS_OF_BUDGET = 3
BUDGET_S = 20


def efficiency(bench: Bench) -> tuple[Table, list[Claim]]:
    """Two workers beside one, and a budget that three workers of a cluster share without sharing memory."""
    rows = []
    for crew in (migrator, on_cluster):
        one, two = bench.in_turn([(crew(n), bench.scale.rows) for n in (1, 2)], NINE, latency_ms=LATENCY_MS)
        efficient = two.against(one, lambda two, one: two.writing_items_per_s / one.writing_items_per_s / 2)
        rows += [_row(crew(1).name, one.middle, ""), _row(crew(2).name, two.middle, number(efficient))]
    units_per_s = bench.scale.units_per_s
    budget = on_cluster(WORKERS_OF_BUDGET, f"write_rate: {units_per_s}")
    kept = bench.turn(budget, NINE, units_per_s * BUDGET_S)
    used = kept.units / kept.writing_s / units_per_s
    note = (
        f"{NINE.what}, {bench.scale.rows:,} rows, {LATENCY_MS} ms; medians of {bench.scale.turns}. Efficiency: items a"
        " second while writing, of two workers against twice that of one. The sink works on the same cores."
    )
    names = ["", "items/s", "items/s while writing", "CPU s/100k", "efficiency"]
    return Table("What a second worker is worth", note, names, rows), [
        Claim(f"local:{WORKERS_OF_BUDGET}: use of `write_rate` beyond the budget", (used - 1) * 100, 5, "%", most=True),
        Claim(f"local:{WORKERS_OF_BUDGET}: use of `write_rate`", used * 100, 85, "%"),
    ]


def _row(name: str, result: Result, efficient: str) -> list[str]:
    speeds = result.items_per_s, result.writing_items_per_s, result.cpu_s_per_100k
    return [name, *map(number, speeds), efficient]
