"""When items were written and when the service threw back: a series of bounded length.

A step is a second at first; where that makes too many, steps are merged by pairs. Moments are the wall clock's, since
the processes of a run have no other in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import Struct, field

#: Steps from the first to the last, idle ones included; also what a chart can show.
STEPS_KEPT = 240


class Step(NamedTuple):
    """What happened in one step."""

    items: int = 0
    write_units: float = 0.0
    throttled: int = 0  #: answers that threw back all or a part of a request

    def plus(self, other: Step) -> Step:
        return Step(self.items + other.items, self.write_units + other.write_units, self.throttled + other.throttled)


class Timeline(Struct):
    """Steps by number; step n begins at second n * step_s of the epoch.

    >>> line = Timeline()
    >>> line.add(1_000.2, Step(items=5)); line.add(1_002.9, Step(items=1, throttled=1))
    >>> line.to_json()["items"], line.to_json()["throttled"]
    ([5, 0, 1], [0, 0, 1])
    """

    step_s: int = 1
    steps: dict[int, Step] = field(default_factory=dict)

    def add(self, moment_s: float, step: Step) -> None:
        number = int(moment_s // self.step_s)
        if number in self.steps:
            self.steps[number] = self.steps[number].plus(step)
            return
        self.steps[number] = step
        while max(self.steps) - min(self.steps) >= STEPS_KEPT:
            self._coarsen()

    def extend(self, other: Timeline) -> None:
        while self.step_s < other.step_s:  # what is known of a wide step is no more than its sum
            self._coarsen()
        for number, step in other.steps.items():
            self.add(number * other.step_s, step)

    def to_json(self) -> dict[str, Any]:
        """A list a measure, a number a step: the first step begins at `started_at`."""
        first = min(self.steps, default=0)
        dense = [self.steps.get(number, Step()) for number in range(first, max(self.steps, default=-1) + 1)]
        started = datetime.fromtimestamp(first * self.step_s, UTC)
        measures: dict[str, Sequence[float]] = {
            "items": [step.items for step in dense],
            "write_units": [round(step.write_units, 3) for step in dense],
            "throttled": [step.throttled for step in dense],
        }
        return {"started_at": started.strftime("%Y-%m-%dT%H:%M:%SZ"), "step_s": self.step_s, **measures}

    def _coarsen(self) -> None:
        fine, self.steps = self.steps, {}
        self.step_s *= 2
        for number, step in fine.items():
            self.steps[number // 2] = self.steps.get(number // 2, Step()).plus(step)
