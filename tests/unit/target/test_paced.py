"""Writes that wait for their turn: what many threads take together stays within the budget."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from migrator.errors import TargetError
from migrator.target.backoff import BRIEF, Timing, ask
from migrator.target.governor import Governor
from migrator.target.pace import UNLIMITED, Bucket, Pace
from migrator.target.paced import PacedAsk, Turns


@pytest.fixture
def paced(clock):
    def paced(units_per_s=None, *, pace=None, stop=lambda: False):
        timing = Timing(clock, clock.sleep)
        governor = Governor(units_per_s and Bucket(units_per_s, clock), pace or Pace(clock))
        return PacedAsk(partial(ask, policy=BRIEF, timing=timing), governor, timing=timing, stop=stop)

    return paced


def consuming(units):
    def write(**request):
        assert request == {"ReturnConsumedCapacity": "TOTAL"}
        return {"ConsumedCapacity": {"CapacityUnits": units}}

    return write


@pytest.mark.parametrize(("units", "seconds"), [(1, 99 / 10), (5, 99 * 5 / 10)])
def test_many_threads_take_what_the_budget_gives(paced, clock, units, seconds):
    asking, started = paced(10), clock()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: asking(consuming(units), "write"), range(100)))
    # Writes under way at the same time learn only afterwards that they took more.
    assert clock() - started == pytest.approx(seconds, abs=8 * units / 10 + 0.1)


def test_batches_of_many_threads_stay_within_the_budget(clock):
    turns, started = Turns(Governor(Bucket(100, clock), Pace(clock)), timing=Timing(clock, clock.sleep)), clock()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(turns.take, [25] * 40))
    assert clock() - started == pytest.approx(39 * 25 / 100, abs=0.1)


def test_a_table_that_throttles_is_written_to_more_slowly(paced, clock, error):
    pace, throttled = Pace(clock), [error("ThrottlingException")]

    def write(**_):
        if throttled:
            raise throttled.pop()
        return {}

    assert paced(pace=pace)(write, "write") == {}
    assert pace.units_per_s < UNLIMITED


def test_who_is_to_stop_waits_no_longer(paced, clock):
    asking = paced(0.001, stop=lambda: True)
    for _ in range(3):
        asking(consuming(1), "write")
    assert clock.slept == []


def test_an_answer_that_was_expected_is_none_and_another_an_error(paced, error):
    def refused(**_):
        raise error("ConditionalCheckFailedException")

    assert paced()(refused, "write", accept={"ConditionalCheckFailedException"}) is None
    with pytest.raises(TargetError, match="write"):
        paced()(refused, "write")
