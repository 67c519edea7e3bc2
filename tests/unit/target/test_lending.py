"""Rates that hosts without shared memory use together: never more than there is, and hardly less."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.target.lending import Drawn, Lender, Lent, apportion
from migrator.target.pace import UNLIMITED

ROUND_S = 0.5


class Host:
    """Sends batches of 25 units as fast as it can, and as its share lets it."""

    def __init__(self, name, clock, lender, units_per_s):
        self.name, self.clock, self.lender, self.units_per_s = name, clock, lender, units_per_s
        self.share = Lent(lender.trickle, clock)
        self.sent = []  # when
        self.free_at = 0.0
        self.answers = True

    def work(self):
        if self.clock.now >= self.free_at and self.share.wait_s() <= 0:
            self.share.take(25)
            self.share.settle(25, 25)
            self.sent.append(self.clock.now)
            self.free_at = max(self.free_at, self.clock.now) + 25 / self.units_per_s

    def renew(self):
        share = self.lender.share(self.name)
        if self.answers:
            self.share.lend(share)
            self.lender.confirm(self.name, share, self.share.tell())


def run(clock, hosts, seconds):
    """All of them; each is told its share twice a second, at a moment of its own."""
    moments = random.Random(1)
    due = {host.name: clock.now + moments.random() * ROUND_S for host in hosts}
    end = clock.now + seconds
    while clock.now < end:
        for host in hosts:
            if clock.now >= due[host.name]:
                host.renew()
                due[host.name] += ROUND_S
            host.work()
        clock.sleep(0.002)


def units(hosts, since, until):
    return 25 * sum(since <= moment < until for host in hosts for moment in host.sent)


@pytest.fixture
def hosts(clock):
    """Three that are not equal: one is slow, one takes what is left, one could send it all."""
    clock.now = 0.0
    lender = Lender(lambda: 1_000.0)
    return [Host(name, clock, lender, speed) for name, speed in (("slow", 150), ("middle", 400), ("fast", 5_000))]


def test_a_budget_is_kept_and_used_by_hosts_that_are_not_equal(clock, hosts):
    run(clock, hosts, 20)
    for since in range(1, 18):
        assert units(hosts, since, since + 3) <= 3 * 1_000 * 1.05
    assert units(hosts, 3, 20) >= 17 * 1_000 * 0.85


def test_the_share_of_a_host_that_is_gone_goes_to_the_others(clock, hosts):
    run(clock, hosts, 10)
    *left, gone = hosts
    left[0].units_per_s = 5_000
    gone.lender.forget(gone.name)
    run(clock, left, 10)
    assert units(left, 13, 20) >= 7 * 1_000 * 0.85
    assert units(left, 11, 20) <= 9 * 1_000 * 1.05


def test_what_an_unheard_host_may_still_have_is_lent_to_nobody(clock, hosts):
    run(clock, hosts, 10)
    hosts[2].answers = False
    run(clock, hosts, 10)
    assert units(hosts, 10, 20) <= 10 * 1_000 * 1.05


def test_a_host_that_comes_later_gets_its_share(clock, hosts):
    _, middle, fast = hosts
    run(clock, [fast], 5)
    run(clock, hosts, 10)
    assert units([middle], 8, 15) >= 7 * 300
    assert units(hosts, 5, 15) <= 10 * 1_000 * 1.05


def test_a_pace_without_limit_lends_no_limit(clock):
    rates = [UNLIMITED]
    lender = Lender(lambda: rates[0])
    assert [lender.share(name) for name in "ab"] == [UNLIMITED, UNLIMITED]
    for name in "ab":
        lender.confirm(name, UNLIMITED, Drawn(500, ROUND_S))
    rates[0] = 100.0
    shares = []
    for _ in range(3):
        for name in "ab":
            share = lender.share(name)
            lender.confirm(name, share, Drawn(share * ROUND_S, ROUND_S, waited_s=ROUND_S))
            shares.append(share)
    assert shares[-2:] == [50, 50]


def test_a_share_that_was_told_and_not_confirmed_counts_as_lent():
    lender = Lender(lambda: 100.0)
    assert lender.share("a") == 100
    assert lender.share("b") == lender.trickle
    lender.confirm("a", 100, Drawn(100, ROUND_S, ROUND_S))
    assert lender.share("b") == lender.trickle  # `a` still has it all
    lender.confirm("a", lender.share("a"), Drawn(50, ROUND_S, ROUND_S))
    assert lender.share("b") == 50


def test_a_host_tells_what_it_drew_since_it_told_last(clock):
    lent = Lent(100, clock)
    lent.take(30)
    lent.settle(30, 20)
    lent.throttled()
    clock.sleep(2.0)
    assert lent.tell() == Drawn(20, 2.0, throttled=True)
    assert lent.tell() == Drawn(0.0, 0.0)


def test_a_host_tells_for_how_long_its_share_kept_it_waiting(clock):
    lent = Lent(100, clock)
    lent.take(100)
    clock.sleep(0.25)  # nobody asks, so nobody waits
    assert lent.wait_s() == 0.75
    clock.sleep(0.5)
    assert lent.tell().waited_s == 0.5
    clock.sleep(1.0)
    assert lent.tell().waited_s == 0.25  # then the debt was paid


wants = st.dictionaries(st.text(max_size=3), st.floats(0, 1e6) | st.just(UNLIMITED), min_size=1)


@given(st.floats(0.01, 1e6), wants)
def test_shares_add_up_to_the_rate_and_nobody_is_left_out(units_per_s, wanted):
    shares = apportion(units_per_s, wanted)
    assert shares.keys() == wanted.keys()
    assert sum(shares.values()) == pytest.approx(units_per_s)
    assert all(share > 0 for share in shares.values())


@given(st.floats(0.01, 1e6), wants)
def test_who_wants_more_than_it_gets_has_no_less_than_any_other(units_per_s, wanted):
    shares = apportion(units_per_s, wanted)
    largest = max(shares.values())
    assert all(shares[name] >= largest * 0.999 for name, want in wanted.items() if want > shares[name] * 1.001)
