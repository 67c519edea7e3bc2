"""The workers of a Dask cluster: who they are, and for how long they may work.

The cluster does the work and keeps nothing: state stays with the coordinator, as it does with processes of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client

from migrator.errors import StoppedError
from migrator.run.cluster_address import ClusterAddress
from migrator.run.cluster_executor import ClusterExecutor
from migrator.run.dask_client import connect
from migrator.run.lease import Terms, Told, renew_lease
from migrator.run.pool import TASKS_PER_WORKER
from migrator.run.renewing import Renewal
from migrator.run.stopping import StopSignal
from migrator.run.worksite import Site, differences, this_site
from migrator.target.governor import Pacing
from migrator.target.session import TargetSettings

T = TypeVar("T")

#: The first worker may start later than the command.
WORKERS_S = 15.0
#: The last worker may be replaced.
NOBODY_S = 60.0
_LOOK_EVERY_S = 0.5
_ANSWER_S = 10.0
_SITES_S = 30.0
_TOLD_MOST = 5


class Cluster:
    """A crew that is there when it is required."""

    def __init__(self, address: ClusterAddress, target: TargetSettings, pacing: Pacing, state_dir: Path) -> None:
        self.stop = StopSignal(threading.Event())
        self.governors = pacing(None)
        self._address = address
        self._state_dir = state_dir
        self._threads = 1
        self._has_ended = False
        self._renewal = Renewal(uuid.uuid4().hex, self.governors, self._is_stopped, self._call)
        self._executor = ClusterExecutor(target, self._renewal.first_terms, self.stop)
        self._held = ExitStack()
        self._client: Client | None = None

    @property
    def window(self) -> int:
        return self._threads * TASKS_PER_WORKER

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        with self._held:
            yield self._executor

    def require(self) -> None:
        self._client = connect(self._address, self._state_dir / "dask", self._held)
        with suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=WORKERS_S)
        self._require_alike(self._in_loop(self._sites()))
        watching = asyncio.run_coroutine_threadsafe(self._watch(), self._loop)
        self._held.callback(self._end, watching)
        self._executor.open(self._client, self._loop)

    def _require_alike(self, sites: dict[str, Site | Exception]) -> None:
        if not sites:
            raise self._nobody("has no worker")
        others = [
            (f"{s.host} ({address})", w)
            for address, s in sites.items()
            if isinstance(s, Site) and (w := differences(s, this_site()))
        ]
        others += [(address, f"cannot answer: {s}") for address, s in sites.items() if isinstance(s, Exception)]
        if others:
            lines = "".join(f"\n  the worker on {who} {words}" for who, words in others[:_TOLD_MOST])
            more = f"\n  … and {len(others) - _TOLD_MOST} more" if len(others) > _TOLD_MOST else ""
            raise StoppedError(
                f"--cluster {self._address}: not all workers would do the same work{lines}{more}\n"
                "  Give all of them what the coordinator has; then run again. Nothing was written.",
                code="worker_differs",
                retryable=True,
            )

    # ---- in Dask's event loop

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        assert self._client is not None
        found: Any = self._client.loop
        loop: asyncio.AbstractEventLoop = found.asyncio_loop
        return loop

    async def _sites(self) -> dict[str, Site | Exception]:
        assert self._client is not None
        try:
            answers = self._client.run(this_site, on_error="return")
            found: dict[str, Site | Exception] = await asyncio.wait_for(answers, _SITES_S)
        except TimeoutError as error:
            raise StoppedError(
                f"--cluster {self._address}: not all workers answer within {_SITES_S:g} seconds\n"
                "  Look after them, and run again.",
                code="cluster_unreachable",
                retryable=True,
            ) from error
        return found

    async def _watch(self) -> None:
        """Who is there, again and again."""
        assert self._client is not None
        seen_at = time.monotonic()
        while True:
            with suppress(OSError, TimeoutError):
                threads = await asyncio.wait_for(self._client.nthreads(), _ANSWER_S)
                self._threads = max(1, sum(threads.values()))
                self._renewal.take_up(threads)
                if threads:
                    seen_at = time.monotonic()
            if time.monotonic() > seen_at + NOBODY_S:
                self._executor.give_up(self._nobody("has lost its last worker"))
            await asyncio.sleep(_LOOK_EVERY_S)

    def _nobody(self, what: str) -> StoppedError:
        start = "" if self._address.workers else f"Start some, `dask worker {self._address} --nthreads 1`. "
        return StoppedError(
            f"--cluster {self._address}: {what}\n  {start}Run again to go on.", code="no_workers", retryable=True
        )

    async def _call(self, process: str, terms: Terms) -> Told:
        assert self._client is not None
        answers = await self._client.run(renew_lease, terms, workers=[process], on_error="return")
        told = answers.get(process)
        if not isinstance(told, Told):
            raise ConnectionError(f"{process}: {told}")
        return told

    # ---- the end

    def _is_stopped(self) -> bool:
        return self._has_ended or self.stop.flag.is_set()

    def _end(self, watching: Any) -> None:
        """Nobody works for the command any more when this is through."""
        self._has_ended = True
        watching.cancel()
        self._in_loop(self._renewal.end())

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
