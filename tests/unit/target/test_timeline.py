"""A run's samples stay few however long it takes, and none is lost."""

from __future__ import annotations

import pytest

from migrator.target.timeline import STEPS_KEPT, Step, Timeline


def test_a_long_run_keeps_a_bounded_number_of_steps_and_every_item() -> None:
    line = Timeline()
    for second in range(10_000):
        line.add(second, Step(items=3, write_units=1.5))
    shown = line.to_json()
    assert len(shown["items"]) <= STEPS_KEPT
    assert (sum(shown["items"]), sum(shown["write_units"])) == (30_000, 15_000)


def test_steps_are_widened_by_doubling() -> None:
    line = Timeline()
    line.add(0, Step(items=1))
    line.add(STEPS_KEPT * 3, Step(items=1))
    assert line.step_s == 4


@pytest.mark.parametrize("seconds", [(5, 900), (900, 5)])
def test_lines_of_different_steps_are_joined(seconds: tuple[int, int]) -> None:
    """A short segment after a long one, and the other way round."""
    joined = Timeline()
    for length in seconds:
        part = Timeline()
        for second in range(length):
            part.add(1_000 + second, Step(items=1, throttled=1))
        joined.extend(part)
    assert sum(step.items for step in joined.steps.values()) == 905
    assert sum(step.throttled for step in joined.steps.values()) == 905
    assert len(joined.to_json()["items"]) <= STEPS_KEPT


def test_joining_keeps_when_it_was() -> None:
    """Four seconds of a coarse line are no spike of one second."""
    fine, coarse = Timeline(), Timeline(step_s=4)
    fine.add(1_000, Step(items=1))
    coarse.add(1_004, Step(items=40))
    fine.extend(coarse)
    assert (fine.step_s, fine.to_json()["items"]) == (4, [1, 40])


def test_a_run_that_wrote_nothing_has_an_empty_line() -> None:
    assert Timeline().to_json()["items"] == []
