"""Writes from several threads, no faster than the plan's budget and the table's pace allow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from migrator.target.backoff import REAL_TIME, Timing, never, pause
from migrator.target.faults import CLIENT_ERRORS, Verdict, fault_of
from migrator.target.governor import Governor

# What a write takes at the least. The answer says what it took, and whoever comes next pays the difference.
_LEAST_UNITS = 1.0
# A debt of less than a clock can tell would be waited for without end; the burst that a bucket allows makes up for it.
_INSTANT_S = 0.001


class Turns:
    """Turns to write, one thread after the other: each waits until nothing is owed, or `stop` says so."""

    def __init__(self, governor: Governor, *, timing: Timing = REAL_TIME, stop: Callable[[], bool] = never) -> None:
        self._governor = governor
        self._timing = timing
        self._stop = stop
        self._turn = threading.Lock()

    def take(self, units: float) -> None:
        """Wait for a turn, and take so much."""
        with self._turn:
            while (wait_s := self._governor.wait_s()) > 0:
                if not pause(max(wait_s, _INSTANT_S), self._timing, self._stop):
                    break
            self._governor.take(units)


class PacedAsk:
    """Asks as `asking` does, but each attempt is a write that waits for its turn, until `stop` says so."""

    def __init__(
        self,
        asking: Callable[..., Any],
        governor: Governor,
        *,
        timing: Timing = REAL_TIME,
        stop: Callable[[], bool] = never,
    ) -> None:
        self._ask = asking
        self._governor = governor
        self._turns = Turns(governor, timing=timing, stop=stop)

    def __call__(self, call: Callable[..., Any], doing: str, *, accept: Collection[str] = ()) -> Any:
        return self._ask(partial(self._attempt, call), doing, accept=accept)

    def _attempt(self, call: Callable[..., Any]) -> Any:
        self._turns.take(_LEAST_UNITS)
        try:
            answer = call(ReturnConsumedCapacity="TOTAL")
        except CLIENT_ERRORS as error:
            if fault_of(error).verdict is Verdict.THROTTLED:
                self._governor.settle(_LEAST_UNITS, 0.0)
                self._governor.throttled()
            raise
        told = answer.get("ConsumedCapacity") or {}
        self._governor.settle(_LEAST_UNITS, float(told.get("CapacityUnits", _LEAST_UNITS)))
        return answer
