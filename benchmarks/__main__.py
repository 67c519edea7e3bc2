"""`make bench`: measure migrator and its peers in one run; in full, that writes RESULTS.md."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.measure import WorkFolder
from benchmarks.native import BUILT
from benchmarks.report import page
from benchmarks.subjects import require_peers
from benchmarks.suites import SUITES

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suites", nargs="*", choices=[[], *SUITES], metavar="SUITE", help=f"of {', '.join(SUITES)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows, one turn each; the page is not written")
    options = parser.parse_args()
    require_peers()
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        bench = Bench(QUICK if options.quick else FULL, WorkFolder(Path(folder)))
        found = [SUITES[name](bench) for name in options.suites or SUITES]
    text = page([table for table, _ in found], [claim for _, claims in found for claim in claims])
    print(text)
    if not options.quick and not options.suites:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
