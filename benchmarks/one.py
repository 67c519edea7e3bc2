"""A single turn, for who works on speed: `python -m benchmarks.one nine 100000 --latency 5 --workers 1`."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.measure import WorkFolder, measure
from benchmarks.native import BUILT
from benchmarks.subjects import BATCH_WRITER, WORKERS, migrator


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one", description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("rows", type=int)
    parser.add_argument("--latency", type=float, default=0, metavar="MS")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--settings", default="", help="more of the plan's settings, as YAML: 'write_rate: 4000'")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument(
        "--limit", type=float, default=0, metavar="UNITS", help="throttle beyond so many units a second"
    )
    parser.add_argument("--batch-writer", action="store_true", help="boto3's batch_writer instead of migrator")
    options = parser.parse_args()
    subject = BATCH_WRITER if options.batch_writer else migrator(options.workers, options.settings)
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        result = measure(
            subject,
            CASES[options.case],
            options.rows,
            WorkFolder(Path(folder)),
            latency_ms=options.latency,
            tls=options.tls,
            limit=options.limit,
        )
    for name, value in asdict(result).items():
        print(f"{name:18}{value:>14,.2f}")
    print(f"{'items/s':18}{result.items_per_s:>14,.0f}\n{'… while writing':18}{result.writing_items_per_s:>14,.0f}")
    print(f"{'CPU s/100k':18}{result.cpu_s_per_100k:>14.3f}")


if __name__ == "__main__":
    main()
