"""Peak memory of each process of a run over a big source: `python benchmarks/memory.py [ROWS]`.

The mapping is one whose keys must be proved by looking (a text key without a UNIQUE index), with a child list,
so that every part that could hold a table in memory is at work.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAPPING = """
version: 1
table: {name: memory, partition_key: PK, sort_key: SK}
entities:
  Person:
    source: people
    key: {PK: "PERSON#{code}", SK: PROFILE}
    attributes:
      pets: {list: {source: pets, match: {owner: id}, attributes: {name: name}}}
"""
PLAN = """
version: 1
name: memory
source: people.sqlite
mappings: [mapping.yaml]
target: {region: us-east-1, endpoint_url: "http://127.0.0.1:{port}"}
settings: {parallelism: 2}
"""
PORT = 18_765


def make_source(path: Path, rows: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, code TEXT, name TEXT, email TEXT, score REAL, note TEXT)"
    )
    connection.execute("CREATE TABLE pets (owner INTEGER, name TEXT)")
    people = ((n, f"p{n}", f"Name {n}", f"n{n}@example.org", n / 7, "x" * 100) for n in range(rows))
    connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?)", people)
    connection.executemany("INSERT INTO pets VALUES (?, ?)", ((n, f"pet {n}") for n in range(0, rows, 3)))
    connection.execute("CREATE INDEX pets_owner ON pets (owner)")
    connection.commit()
    connection.close()


def processes_of(leader: int) -> dict[int, str]:
    """The process and its descendants, with their command lines."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {leader}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: _command(pid) for pid in found}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:60]
    except FileNotFoundError:
        return ""


def peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(line.split()[1]) / 1024


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_source(folder / "people.sqlite", rows)
        (folder / "mapping.yaml").write_text(MAPPING)
        (folder / "plan.yaml").write_text(PLAN.replace("{port}", str(PORT)))
        sink = subprocess.Popen([sys.executable, Path(__file__).with_name("sink.py"), str(PORT)])
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        time.sleep(1)
        started = time.monotonic()
        run = subprocess.Popen([sys.executable, "-m", "migrator", "run", folder / "plan.yaml"], env=environment)
        peaks: dict[int, tuple[float, str]] = {}
        while run.poll() is None:
            for pid, command in processes_of(run.pid).items():
                peaks[pid] = max(peaks.get(pid, (0.0, command)), (peak_mib(pid), command))
            time.sleep(0.2)
        sink.terminate()
        print(f"{rows} rows in {time.monotonic() - started:.0f} s, exit code {run.returncode}")
        for peak, command in sorted(peaks.values(), reverse=True):
            print(f"{peak:7.1f} MiB  {command}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
