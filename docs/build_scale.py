"""Write the tables of docs/scale.md from benchmarks/RESULTS.md and list prices; with --check, only compare.

A table stands between <!-- its name --> and <!-- end -->.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.target.forecast import GB, ITEM_STORAGE_OVERHEAD_BYTES
from migrator.target.prices import load_prices

PAGE = Path(__file__).with_name("scale.md")
RESULTS = Path(__file__).parent.parent / "benchmarks" / "RESULTS.md"

#: "Quotas" — ServiceQuotas: write units a second of a table, unless it is raised
TABLE_QUOTA = 40_000
QUOTAS = (TABLE_QUOTA, 10 * TABLE_QUOTA, 1_000_000)
#: A core that is planned to the last cycle has none left for a slow minute.
CORE_USE = 0.7
CORES = (2, 16, 64)
_HOUR_S = 3_600

PRICES = load_prices()
REGION = PRICES.of("us-east-1")
STANDARD = REGION.of("STANDARD")


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be moved. Bytes are a benchmark's means: in the file, by DynamoDB's rules, as a line of JSON."""

    rows: float
    case: str  #: its name in RESULTS.md
    file_bytes: float
    item_bytes: float
    line_bytes: float

    @property
    def units(self) -> float:
        return self.rows * math.ceil(self.item_bytes / 1024)


TERABYTE = Load(1e12 / 1_027, "items of 1 KB", 1_027, 1_010, 1_092)
TEN_BILLION = Load(1e10, "nine columns, 530 bytes a put on the wire", 329, 372, 532)


def figure(section: str, row: str, column: str) -> float:
    """A figure of RESULTS.md. Raises ValueError where it is not there."""
    (found,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", RESULTS.read_text("utf-8"), re.M | re.S)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines() if line[:1] == "|"]
    (cells,) = [cells for cells in lines[2:] if cells[0] == row]
    return float(cells[lines[0].index(column)].replace(",", ""))


def what(load: Load) -> Iterator[list[str]]:
    stored = load.rows * (load.item_bytes + ITEM_STORAGE_OVERHEAD_BYTES)
    yield ["rows", f"{load.rows:,.0f}"]
    yield ["SQLite file", f"{load.rows * load.file_bytes / 1e12:.2f} TB"]
    yield ["write units", f"{load.units:,.0f}"]
    yield ["storage", f"{stored / GB:,.0f} GB, {money(stored / GB * (STANDARD.storage_gb_month or math.nan))} a month"]


def sending(load: Load) -> Iterator[list[str]]:
    """By a table's quota: cores that keep up with it, time, cost on demand."""
    cpu_s = figure("One worker", load.case, "CPU s/100k") / 1e5
    for quota in QUOTAS:
        items_per_s = quota * load.rows / load.units
        yield [
            f"{quota:,}",
            str(math.ceil(items_per_s * cpu_s / CORE_USE)),
            duration(load.rows / items_per_s),
            money(load.units / 1e6 * (STANDARD.write_million or math.nan)),
        ]


def importing(load: Load) -> Iterator[list[str]]:
    """By cores: time to render the files. A larger row takes the longer as the pace in bytes stays."""
    pace = figure("Files for an import", "migrator, 1 worker", "items/s") * TEN_BILLION.line_bytes / load.line_bytes
    lines_gb = load.rows * load.line_bytes / GB
    for cores in CORES:
        seconds = load.rows / (pace * cores * CORE_USE)
        yield [
            str(cores),
            duration(seconds),
            f"{lines_gb:,.0f} GB",
            money(lines_gb * (REGION.s3_import_gb or math.nan)),
        ]


def duration(seconds: float) -> str:
    """
    >>> duration(90), duration(7_200), duration(400_000)
    ('2 min', '2.0 h', '4.6 days')
    """
    if seconds < _HOUR_S:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / _HOUR_S:.1f} h" if seconds < 48 * _HOUR_S else f"{seconds / 24 / _HOUR_S:.1f} days"


def money(amount: float) -> str:
    """
    >>> money(608_571.4)
    '$609,000'
    """
    return f"${round(amount, 2 - math.floor(math.log10(amount))):,.0f}"


_SENDING = ("write units a second", "cores", "time", "on demand")
_IMPORTING = ("cores", "to render", "read by the import", "import")
TABLES: Mapping[str, tuple[tuple[str, ...], Callable[[], Iterable[list[str]]]]] = {
    "terabyte": (("", "a terabyte in rows of 1 KB"), lambda: what(TERABYTE)),
    "terabyte sent": (_SENDING, lambda: sending(TERABYTE)),
    "terabyte imported": (_IMPORTING, lambda: importing(TERABYTE)),
    "ten billion": (("", "ten billion rows of nine columns"), lambda: what(TEN_BILLION)),
    "ten billion sent": (_SENDING, lambda: sending(TEN_BILLION)),
    "ten billion imported": (_IMPORTING, lambda: importing(TEN_BILLION)),
}


def render(page: str) -> str:
    for name, (heads, rows) in TABLES.items():
        lines = [heads, ["---"] * len(heads), *rows()]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, rest = page.split(begin)
        page = before + begin + table + end + rest.split(end, 1)[1]
    return page


def main(check: bool) -> int:
    stands = PAGE.read_text(encoding="utf-8")
    fresh = render(stands)
    if fresh == stands:
        return 0
    if check:
        print("docs/scale.md is stale: run `make docs`", file=sys.stderr)
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
