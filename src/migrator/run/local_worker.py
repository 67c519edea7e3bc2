"""What each process of `--cluster local:N` does first; Dask imports it there."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(_worker: Any) -> None:
    """A terminal sends Ctrl-C, and a service SIGTERM, to every process: the coordinator decides, workers drain."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
