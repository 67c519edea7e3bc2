"""Dask as this project uses it: a client that is quiet, of a scheduler or of worker processes of this machine.

What Dask logs goes the way of all other logs. The processes of this machine know each other by certificates that live
as long as they do: whoever reaches the port of a Dask scheduler runs code as its user.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, LocalCluster, Security
from distributed.versions import VersionMismatchWarning

from migrator.errors import StoppedError
from migrator.run.cluster_address import ClusterAddress

CONNECT_S = 15.0

_SETTINGS = {
    # Tasks carry the keys of rows that lose to others; how many of those there are is the data's affair.
    "distributed.admin.large-graph-warning-threshold": "1GiB",
    # What goes wrong with a process of this machine, its nanny and the scheduler tell, and both are in this process.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
    # Scheduler and workers serve pages to anyone who asks, with or without a dashboard.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
# Those that Dask gives handlers and levels of its own.
_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")


def connect(address: ClusterAddress, scratch: Path, held: ExitStack) -> Client:
    """A client, and for `local:N` its cluster, for as long as `held` is. Raises StoppedError."""
    _log_as_others_do()
    held.enter_context(dask.config.set(_SETTINGS))
    # What must be alike is looked at by ourselves (`run.worksite`).
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
    try:
        cluster: Any = held.enter_context(_local(address.workers, scratch)) if address.workers else address.scheduler
        client = Client(cluster, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, TypeError, ValueError) as error:
        raise StoppedError(
            f"--cluster {address}: cannot be reached: {str(error) or type(error).__name__}\n"
            "  Is `dask scheduler` running there, and open to this host? For tls:// Dask's own settings name the keys.",
            code="cluster_unreachable",
            retryable=True,
        ) from error
    held.callback(client.close)
    return client


class _Plain(logging.Handler):
    """Hands on to whom all other logs go, without the tracebacks that Dask gives its warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger("migrator").isEnabledFor(logging.DEBUG):
            record.exc_info = record.exc_text = None
        if record.exc_info or record.getMessage().strip():
            logging.getLogger().handle(record)


def _log_as_others_do() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    for name in ("distributed", "tornado"):
        logger = logging.getLogger(name)
        logger.handlers = [_Plain()]
        logger.propagate = False


def _local(workers: int, scratch: Path) -> LocalCluster:
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tls://",
        security=Security.temporary(),
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        dashboard_address=None,
        memory_limit=0,  # what a worker takes is bounded by what it does
        local_directory=str(scratch),
        silence_logs=logging.WARNING,
        preload=["migrator.run.local_worker"],
    )
