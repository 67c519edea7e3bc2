"""Write capacity: how fast all workers together may send.

Two buckets meet here. The plan's budget is fixed. A table's pace begins at what the table says it takes, is cut when
the table throttles, and grows again by equal steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from multiprocessing.context import BaseContext
from typing import Any, Protocol

from migrator.target.pace import UNLIMITED, Bucket, Numbers, Pace


class Rate(Protocol):
    """How fast a table is written to, and who is told that it is too fast."""

    @property
    def units_per_s(self) -> float: ...

    def wait_s(self) -> float: ...

    def take(self, units: float) -> None: ...

    def settle(self, taken: float, consumed: float) -> None: ...

    def throttled(self) -> None: ...

    def begin_at(self, units_per_s: float) -> None: ...


class Governor:
    """What one table's writer asks: within the plan's budget and at the table's pace.

    >>> governor = Governor(Bucket(100, clock=lambda: 0.0), Pace(lambda: 0.0))
    >>> governor.take(50)
    >>> governor.wait_s()
    0.5
    """

    def __init__(self, budget: Bucket | None = None, pace: Rate | None = None) -> None:
        self._budget = budget
        self._pace: Rate = pace or Pace()

    @property
    def budget(self) -> Bucket | None:
        return self._budget

    @property
    def pace(self) -> Rate:
        return self._pace

    @property
    def units_per_s(self) -> float:
        """The rate now, at most."""
        return min(self._pace.units_per_s, self._budget.units_per_s if self._budget else UNLIMITED)

    def wait_s(self) -> float:
        """How long to wait before asking again; 0 is: take."""
        wait_s = self._pace.wait_s()
        return max(wait_s, self._budget.wait_s()) if self._budget else wait_s

    def take(self, units: float) -> None:
        """Use so much, as far as can be known before."""
        self._pace.take(units)
        if self._budget:
            self._budget.take(units)

    def settle(self, taken: float, consumed: float) -> None:
        """Correct by what the request really took."""
        self._pace.settle(taken, consumed)
        if self._budget:
            self._budget.settle(taken, consumed)

    def throttled(self) -> None:
        self._pace.throttled()

    def begin_at(self, units_per_s: float | None) -> None:
        """Before the first request: what the table says that it takes, where it says so."""
        if units_per_s:
            self._pace.begin_at(units_per_s)


def governors(
    budget_units_per_s: float | None, tables: Iterable[str], context: BaseContext | None = None
) -> dict[str, Governor]:
    """One governor for each table, over one budget.

    With a context they are for its processes, and are handed over as these start.
    """
    budget = Bucket(budget_units_per_s, numbers=Numbers(context)) if budget_units_per_s else None
    return {table: Governor(budget, Pace(numbers=Numbers(context))) for table in tables}


#: What workers share of the tables' write capacity, made for the context of their processes.
Pacing = Callable[[BaseContext | None], Mapping[str, Governor]]


def no_pacing(context: BaseContext | None) -> Mapping[str, Governor]:
    return {}


def write_capacity(description: Mapping[str, Any]) -> float | None:
    """The units a second that a table takes at once, as DescribeTable tells: provisioned, or warm.

    >>> write_capacity({"WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000}})
    4000.0
    """
    told: Iterable[Any] = (
        (description.get("ProvisionedThroughput") or {}).get("WriteCapacityUnits"),
        (description.get("WarmThroughput") or {}).get("WriteUnitsPerSecond"),
    )
    return next((float(units) for units in told if units), None)
