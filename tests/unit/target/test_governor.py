import multiprocessing

import pytest

from migrator.target.governor import Governor, governors, write_capacity
from migrator.target.pace import UNLIMITED, Bucket, Pace


def run(governor, clock, seconds, units=25.0, capacity=None):
    """Send for so long; what was taken. Above `capacity` units a second the table throttles."""
    taken, end, window = 0.0, clock.now + seconds, {}
    while clock.now < end:
        clock.sleep(max(governor.wait_s(), 0.001))
        if governor.wait_s():
            continue
        governor.take(units)
        second = int(clock.now)
        if capacity and window.get(second, 0) + units > capacity:
            governor.settle(units, 0)
            governor.throttled()
            continue
        window[second] = window.get(second, 0) + units
        governor.settle(units, units)
        taken += units
    return taken


@pytest.fixture
def budget(clock):
    """A governor of so many units a second for a table that says nothing of itself; None: without a budget."""
    return lambda units_per_s: Governor(units_per_s and Bucket(units_per_s, clock), Pace(clock))


@pytest.fixture
def table(clock):
    """A governor without a budget, for a table that says that it takes so many units a second."""

    def table(units_per_s):
        governor = Governor(pace=Pace(clock))
        governor.begin_at(units_per_s)
        return governor

    return table


def test_without_a_budget_nothing_waits(budget):
    governor = budget(None)
    assert [(governor.take(10_000), governor.wait_s()) for _ in range(5)] == [(None, 0.0)] * 5


def test_the_budget_is_kept_over_time(clock, budget):
    assert run(budget(500), clock, 60) == pytest.approx(60 * 500, rel=0.05)


def test_a_pause_does_not_save_up_a_burst(clock, budget):
    governor = budget(100)
    clock.sleep(3_600)
    assert governor.wait_s() == 0.0
    governor.take(110)
    assert governor.wait_s() == 1.0


def test_what_was_taken_in_excess_is_given_back(budget):
    governor = budget(100)
    governor.take(100)
    assert governor.wait_s() == 1.0
    governor.settle(100, 40)
    assert governor.wait_s() == 0.4


def test_throttling_lowers_the_rate_once_a_second(budget):
    governor = budget(1_000)
    for _ in range(100):
        governor.throttled()
    assert 600 < governor.units_per_s < 1_000


def test_a_table_slower_than_the_budget_is_still_used_well(clock, budget):
    taken = run(budget(4_000), clock, 120, capacity=800)
    assert taken > 0.5 * 120 * 800


def test_the_rate_returns_to_the_budget_and_not_beyond(clock, budget):
    governor = budget(1_000)
    governor.throttled()
    run(governor, clock, 30)
    assert governor.units_per_s == 1_000


def test_a_brake_without_budget_is_released_in_the_end(clock, budget):
    governor = budget(None)
    governor.throttled()
    assert governor.units_per_s < UNLIMITED
    run(governor, clock, 60)
    assert governor.units_per_s == UNLIMITED


@pytest.mark.parametrize("seconds", [3, 5, 10])
def test_a_budget_is_used_within_five_percent_over_a_few_seconds(clock, budget, seconds):
    assert run(budget(4_000), clock, seconds) == pytest.approx(seconds * 4_000, rel=0.05)


def test_a_table_begins_at_what_it_says_that_it_takes(clock, table):
    governor = table(400)
    assert run(governor, clock, 1) == pytest.approx(400, rel=0.15)


def test_the_rate_grows_by_equal_steps(clock, table):
    governor = table(1_000)
    rates = []
    for _ in range(4):
        clock.sleep(1.0)
        governor.settle(0, 1)
        rates.append(governor.units_per_s)
    assert rates == [1_100, 1_200, 1_300, 1_400]


def test_a_long_time_of_throttling_is_made_up_for_in_seconds(clock, table):
    governor = table(4_000)
    for _ in range(60):
        clock.sleep(1.0)
        governor.throttled()
    assert governor.units_per_s == 25
    run(governor, clock, 15)
    assert governor.units_per_s > 3_000


def test_tables_share_the_budget_and_keep_a_pace_of_their_own():
    shared = governors(1_000, ["small", "large"])
    shared["small"].begin_at(5.0)
    shared["large"].begin_at(None)
    assert (shared["small"].units_per_s, shared["large"].units_per_s) == (5, 1_000)
    shared["large"].take(1_000)
    assert shared["large"].wait_s() == pytest.approx(1.0, abs=0.2)
    assert shared["small"].wait_s() == pytest.approx(1.0, abs=0.2)


def _use(governor):
    governor.take(1_000)
    governor.throttled()


def test_what_one_process_takes_and_meets_holds_for_all():
    context = multiprocessing.get_context("spawn")
    governor = governors(1, ["orders"], context)["orders"]
    assert governor.wait_s() == 0.0
    process = context.Process(target=_use, args=(governor,))
    process.start()
    process.join()
    assert governor.wait_s() > 900
    governor.settle(1_000, 0)
    assert governor.wait_s() == 0.0


@pytest.mark.parametrize(
    ("description", "units"),
    [
        ({"ProvisionedThroughput": {"WriteCapacityUnits": 5}, "WarmThroughput": {"WriteUnitsPerSecond": 4_000}}, 5),
        ({"ProvisionedThroughput": {"WriteCapacityUnits": 0}, "WarmThroughput": {"WriteUnitsPerSecond": 4_000}}, 4_000),
        ({}, None),
    ],
)
def test_a_table_says_what_it_takes(description, units):
    assert write_capacity(description) == units
