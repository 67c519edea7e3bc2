"""A worker's leave to write for a command that runs elsewhere: for how long, and how fast.

The coordinator renews it twice a second, and says so when the run is to stop. A lease that is not renewed ends by
itself, so that nobody writes for a coordinator that is gone. Asking costs a look at a clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from msgspec import Struct

from migrator.errors import StoppedError
from migrator.run.worker import WORKER
from migrator.target.governor import Governor
from migrator.target.lending import Drawn, Lent
from migrator.target.pace import Clock

Result = TypeVar("Result")

#: Seconds that a lease lasts unless it is renewed.
LEASE_S = 10.0
# A process works for many commands in its life; what it remembers of one that is gone is bounded.
_FORGOTTEN_AFTER_S = 3600.0


class LeaseLost(StoppedError):
    """What was done since is not to be believed: it is done again."""


class Terms(Struct, frozen=True):
    """What the coordinator tells a process: with every task, and again and again."""

    command: str  #: a name that no other command has
    budget: float | None  #: its share of the plan's `write_rate`, units a second
    paces: Mapping[str, float]  #: its share of each table's pace
    lasts_s: float
    is_stopped: bool = False


class Told(Struct, frozen=True):
    """What the process answers."""

    under_way: int  #: tasks of the command
    budget: Drawn | None
    paces: Mapping[str, Drawn]


class Lease:
    """Of one process, for one command."""

    def __init__(self, terms: Terms, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lasts_s = terms.lasts_s
        self._until = clock() + terms.lasts_s
        self._is_stopped = terms.is_stopped
        self._lapses = 0  #: how often somebody was kept from going on by its end
        self._under_way = 0
        self._renewed = threading.Condition()
        self._budget = None if terms.budget is None else Lent(terms.budget, clock)
        self._paces = {table: Lent(rate, clock) for table, rate in terms.paces.items()}
        self._governors = {table: Governor(self._budget, pace) for table, pace in self._paces.items()}

    def is_stopped(self) -> bool:
        """For the workers: whether to drain and come back."""
        if self._is_stopped:
            return True
        if self._has_time():
            return False
        self._lapses += 1
        return True

    def renew(self, terms: Terms) -> Told:
        with self._renewed:
            self._until = self._clock() + terms.lasts_s
            self._is_stopped = self._is_stopped or terms.is_stopped
            self._renewed.notify_all()
        if self._budget and terms.budget is not None:
            self._budget.lend(terms.budget)
        for table, rate in terms.paces.items():
            self._paces[table].lend(rate)
        return Told(
            under_way=self._under_way,
            budget=self._budget.tell() if self._budget else None,
            paces={table: pace.tell() for table, pace in self._paces.items()},
        )

    def run(self, prepare: Callable[[], Callable[[], Result]]) -> Result:
        """Do what `prepare` gives, as a worker of the command. Raises LeaseLost where it ended in the middle of it."""
        with self._counted():
            self._await_time()
            before = self._lapses
            WORKER.start(self.is_stopped, self._governors)
            task = prepare()
            self._require_unbroken(before)
            result = task()
            self._require_unbroken(before)
            return result

    def is_long_gone(self) -> bool:
        return not self._under_way and self._clock() > self._until + _FORGOTTEN_AFTER_S

    def _has_time(self) -> bool:
        return self._clock() < self._until

    def _require_unbroken(self, before: int) -> None:
        if self._lapses > before and not self._is_stopped:
            raise _lost(self._lasts_s)

    def _await_time(self) -> None:
        """A task may come a little sooner than the renewal."""
        with self._renewed:
            if not self._renewed.wait_for(lambda: self._is_stopped or self._has_time(), self._lasts_s):
                raise _lost(self._lasts_s)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._renewed:
            self._under_way += 1
        try:
            yield
        finally:
            with self._renewed:
                self._under_way -= 1


def _lost(lasts_s: float) -> LeaseLost:
    return LeaseLost(
        f"a worker has not heard of the run for {lasts_s:g} seconds, and stopped writing\n"
        "  Look after the network between scheduler and workers, and run again to go on.",
        code="lease_lost",
        retryable=True,
    )


class Leases:
    """Of this process, by command."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}

    def of(self, terms: Terms) -> Lease:
        """A lease that is there stays as it is: only `renew` makes one longer."""
        with self._lock:
            found = self._leases.get(terms.command)
            if found is None:
                self._leases = {name: each for name, each in self._leases.items() if not each.is_long_gone()}
                found = self._leases[terms.command] = Lease(terms, self._clock)
            return found


LEASES = Leases()


def renew_lease(terms: Terms) -> Told:
    """The coordinator's call to each process."""
    return LEASES.of(terms).renew(terms)
