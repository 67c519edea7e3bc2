"""Tasks on their way to a Dask cluster and back, as futures of `concurrent.futures`.

A worker that dies has its tasks done again elsewhere by Dask; a task whose worker lost its lease is sent again from
here. Whatever else keeps a task from being done ends the run, which can go on later.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from distributed import Client
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from migrator.errors import StoppedError
from migrator.run.lease import LeaseLost, Terms
from migrator.run.stopping import StopSignal
from migrator.run.worksite import Task, content_of, iter_snapshots, run_task, this_site
from migrator.target.session import TargetSettings

#: A task is sent again so often.
_AGAIN = 3


class ClusterExecutor(Executor):
    """`first_terms` is what a worker begins with that was told nothing yet."""

    def __init__(self, target: TargetSettings, first_terms: Callable[[], Terms], stop: StopSignal) -> None:
        self._target = target
        self._first_terms = first_terms
        self._stop = stop
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._contents: dict[str, str] = {}
        self._given_up: asyncio.Future[StoppedError] | None = None

    def open(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop
        self._given_up = loop.create_future()

    def give_up(self, error: StoppedError) -> None:
        """In the loop: nobody will do what was submitted."""
        if self._given_up and not self._given_up.done():
            self._given_up.set_result(error)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert self._loop is not None
        assert not kwargs
        contents = {each.read_path: self._content(each.read_path) for each in iter_snapshots(args)}
        task = Task(self._first_terms(), this_site(), self._target, fn, args, contents)
        return asyncio.run_coroutine_threadsafe(self._done(pickle.dumps(task)), self._loop)

    async def _done(self, packed: bytes, again: int = _AGAIN) -> Any:
        try:
            return await self._result(packed)
        except LeaseLost:
            if not again or self._stop.flag.is_set():
                raise
            return await self._done(packed, again - 1)

    async def _result(self, packed: bytes) -> Any:
        assert self._client is not None
        assert self._given_up is not None
        # Not pure: the same bytes are to be worked on again where they are sent again.
        future = self._client.submit(run_task, packed, pure=False)
        answer = asyncio.ensure_future(future.result())
        try:
            await asyncio.wait({answer, self._given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise self._given_up.result()
            return answer.result()
        except KilledWorker as error:
            raise _died(error) from error
        except FutureCancelledError as error:
            raise _lost(error) from error
        finally:
            answer.cancel()
            future.release()

    def _content(self, path: str) -> str:
        """The digest of a file that is read. Raises StoppedError where the run is stopped meanwhile."""
        if path not in self._contents:
            content = content_of(path, self._stop.flag.is_set)
            if content is None:
                raise StoppedError("the run was stopped; run again to go on", code="interrupted", retryable=True)
            self._contents[path] = content
        return self._contents[path]


def _died(error: KilledWorker) -> StoppedError:
    return StoppedError(
        f"{error.allowed_failures + 1} workers died over one segment, the last of them {error.last_worker.address}\n"
        "  They may have been killed for their memory: look into their logs, give them more, and run again to go on.",
        code="worker_died",
        retryable=True,
    )


def _lost(error: FutureCancelledError) -> StoppedError:
    return StoppedError(
        f"the Dask scheduler has given up the run's tasks: {error.reason}\n"
        "  It may have ended, or be out of reach: look after it, and run again to go on.",
        code="cluster_lost",
        retryable=True,
    )
