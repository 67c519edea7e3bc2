"""A worker, as the code sees that works in it: has its run been told to stop, and how fast may it write?

A thread is a worker: those of one process may work for different commands, and each has connections of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from migrator.target.backoff import never
from migrator.target.governor import Governor


class Worker(threading.local):
    """This thread as a worker; one that was told nothing goes on, as fast as it can."""

    def __init__(self) -> None:
        self.is_stopped: Callable[[], bool] = never
        self.governors: Mapping[str, Governor] = {}  #: by table

    def start(self, is_stopped: Callable[[], bool], governors: Mapping[str, Governor]) -> None:
        self.is_stopped = is_stopped
        self.governors = governors


WORKER = Worker()
