import pytest

from migrator.target.governor import Governor


def run(governor, clock, seconds, units=25.0, capacity=None):
    """Send for so long; what was taken. Above `capacity` units a second the table throttles."""
    taken, end, window = 0.0, clock.now + seconds, {}
    while clock.now < end:
        clock.sleep(governor.reserve(units) + 0.001)
        second = int(clock.now)
        if capacity and window.get(second, 0) + units > capacity:
            governor.settle(units, 0)
            governor.throttled()
            continue
        window[second] = window.get(second, 0) + units
        governor.settle(units, units)
        taken += units
    return taken


def test_without_a_budget_nothing_waits(clock):
    governor = Governor(None, clock)
    assert [governor.reserve(10_000) for _ in range(5)] == [0.0] * 5


def test_the_budget_is_kept_over_time(clock):
    assert run(Governor(500, clock), clock, 60) == pytest.approx(60 * 500, rel=0.05)


def test_a_pause_does_not_save_up_a_burst(clock):
    governor = Governor(100, clock)
    clock.sleep(3_600)
    assert governor.reserve(100) == 0.0
    assert governor.reserve(100) == 1.0


def test_what_was_reserved_in_excess_is_given_back(clock):
    governor = Governor(100, clock)
    governor.reserve(100)
    governor.settle(100, 40)
    assert governor.reserve(60) == 0.0


def test_throttling_lowers_the_rate_once_a_second(clock):
    governor = Governor(1_000, clock)
    for _ in range(100):
        governor.throttled()
    assert 600 < governor.units_per_s < 1_000


def test_a_table_slower_than_the_budget_is_still_used_well(clock):
    taken = run(Governor(4_000, clock), clock, 120, capacity=800)
    assert taken > 0.5 * 120 * 800


def test_the_rate_returns_to_the_budget_and_not_beyond(clock):
    governor = Governor(1_000, clock)
    governor.throttled()
    run(governor, clock, 30)
    assert governor.units_per_s == 1_000


def test_a_brake_without_budget_is_released_in_the_end(clock):
    governor = Governor(None, clock)
    governor.throttled()
    assert governor.units_per_s is not None
    run(governor, clock, 60)
    assert governor.units_per_s is None
