"""A Dask cluster by hand: a scheduler and workers, each a process of its own, as docs/cluster.md has them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

START_S = 60
#: What Dask itself needs no page, no limit of memory and no second process for.
SCHEDULER = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
WORKER = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")


@dataclass
class DaskCluster:
    """Running processes, killed in the end. `preload` is Python that each worker runs first, more than once."""

    folder: Path
    environment: Mapping[str, str]
    preload: str = ""
    address: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None

    def start_scheduler(self) -> None:
        self.scheduler = self._start("scheduler", "dask_scheduler", *SCHEDULER)
        self.address = self._said("scheduler", r"Scheduler at: +(tcp://\S+)")

    def start_worker(self, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Begin one; it is there when `await_workers` has ended."""
        name = f"worker-{len(self.workers)}"
        (self.folder / "preload.py").write_text(self.preload, encoding="utf-8")
        own = ("--local-directory", str(self.folder / name), "--preload", str(self.folder / "preload.py"))
        worker = self._start(name, "dask_worker", self.address, *WORKER, *own, *options, environment=environment)
        self.workers.append(worker)
        return worker

    def await_workers(self) -> None:
        for number in range(len(self.workers)):
            self._said(f"worker-{number}", r"Registered to: +(tcp://\S+)")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        for process in (*self.workers, *filter(None, [self.scheduler])):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self, name: str, module: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *options],
                cwd=self.folder,
                env={**self.environment, **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _said(self, name: str, pattern: str) -> str:
        give_up = time.monotonic() + START_S
        while not (found := re.search(pattern, self.log(name))):
            assert time.monotonic() < give_up, self.log(name)
            time.sleep(0.05)
        return found[1]


@contextmanager
def dask_cluster(
    folder: Path, environment: Mapping[str, str], workers: int = 3, preload: str = ""
) -> Iterator[DaskCluster]:
    folder.mkdir()
    cluster = DaskCluster(folder, environment, preload)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        cluster.await_workers()
        yield cluster
    finally:
        cluster.stop()
