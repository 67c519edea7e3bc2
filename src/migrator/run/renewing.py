"""The coordinator's side of leases: every worker process is told twice a second that it may go on, and how fast.

Each process is called by itself, so that one that hangs keeps nobody waiting. What it says it has drawn decides what
it is lent next. A stop goes out at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from migrator.run.lease import LEASE_S, Terms, Told
from migrator.target.governor import Governor, Rate
from migrator.target.lending import Drawn, Lender

#: One process and what it is told; its answer. Raises OSError where it cannot be asked.
Call = Callable[[str, Terms], Awaitable[Told]]

RENEW_EVERY_S = 0.5
# So long an answer is waited for: two calls that are lost end no lease.
_ANSWER_S = 3.0
# The scheduler hands on each call over a connection of its own.
_CALLS_PER_S = 200
_SLICE_S = 0.1

log = logging.getLogger(__name__)


class Renewal:
    """Of one command's leases. Lives in one event loop; `first_terms` may be asked from any thread."""

    def __init__(
        self, command: str, governors: Mapping[str, Governor], is_stopped: Callable[[], bool], call: Call
    ) -> None:
        self._command = command
        self._is_stopped = is_stopped
        self._call = call
        self._paces = {table: governor.pace for table, governor in governors.items()}
        budget = next((governor.budget for governor in governors.values() if governor.budget), None)
        self._budget = Lender(lambda: budget.units_per_s) if budget else None
        self._lenders = {table: _lender(pace) for table, pace in self._paces.items()}
        self._loops: dict[str, asyncio.Task[None]] = {}

    def first_terms(self) -> Terms:
        """For a process that was told nothing yet."""
        return Terms(
            self._command,
            self._budget.trickle if self._budget else None,
            {table: lender.trickle for table, lender in self._lenders.items()},
            LEASE_S,
        )

    def take_up(self, processes: Mapping[str, Any]) -> None:
        """These are there now: new ones are told from here on, and those that are gone no more."""
        for gone in self._loops.keys() - processes.keys():
            self._loops.pop(gone).cancel()
            self._forget(gone)
        for new in processes.keys() - self._loops.keys():
            self._loops[new] = asyncio.create_task(self._keep(new))

    async def end(self) -> None:
        """With the stop told to all: until no task is under way, or those that do not answer have lost their lease."""
        for loop in self._loops.values():
            loop.cancel()
        await asyncio.gather(*map(self._drain, self._loops))

    async def _drain(self, process: str) -> None:
        give_up = time.monotonic() + LEASE_S
        while time.monotonic() < give_up:
            with suppress(OSError, TimeoutError):
                if not await self._renew(process, stopped=True):
                    return
            await asyncio.sleep(_SLICE_S)

    async def _keep(self, process: str) -> None:
        heard_at = time.monotonic()
        while True:
            stopped = self._is_stopped()
            try:
                await self._renew(process, stopped=stopped)
                heard_at = time.monotonic()
            except (OSError, TimeoutError) as error:
                log.debug("%s does not answer: %s", process, error)
                if time.monotonic() > heard_at + LEASE_S + _ANSWER_S:
                    self._forget(process)  # its lease has ended by itself
            await self._pause(stopped=stopped)

    async def _pause(self, *, stopped: bool) -> None:
        until = time.monotonic() + max(RENEW_EVERY_S, len(self._loops) / _CALLS_PER_S)
        while time.monotonic() < until and self._is_stopped() == stopped:
            await asyncio.sleep(_SLICE_S)

    async def _renew(self, process: str, *, stopped: bool) -> int:
        """How many tasks of the command are under way there."""
        budget = self._budget.share(process) if self._budget else None
        paces = {table: lender.share(process) for table, lender in self._lenders.items()}
        terms = Terms(self._command, budget, paces, LEASE_S, is_stopped=stopped)
        told = await asyncio.wait_for(self._call(process, terms), _ANSWER_S)
        if self._budget and budget is not None and told.budget:
            self._budget.confirm(process, budget, told.budget)
        for table, drawn in told.paces.items():
            self._lenders[table].confirm(process, paces[table], drawn)
            _follow(self._paces[table], drawn)
        return told.under_way

    def _forget(self, process: str) -> None:
        for lender in (self._budget, *self._lenders.values()):
            if lender:
                lender.forget(process)


def _lender(pace: Rate) -> Lender:
    return Lender(lambda: pace.units_per_s)


def _follow(pace: Rate, drawn: Drawn) -> None:
    """What another host met decides the table's pace as if it had been met here."""
    pace.settle(drawn.units, drawn.units)  # nothing is taken of a bucket that is lent
    if drawn.throttled:
        pace.throttled()
