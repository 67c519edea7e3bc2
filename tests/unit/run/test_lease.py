"""Leases of workers on other hosts: how they end, how they are renewed, and what becomes of what was done meanwhile."""

from __future__ import annotations

import asyncio
import pickle
import threading
from functools import partial

import pytest

from migrator.run import renewing
from migrator.run.lease import Lease, LeaseLost, Leases, Terms, Told
from migrator.run.renewing import Renewal
from migrator.run.worker import WORKER
from migrator.target.governor import Governor
from migrator.target.lending import Drawn
from migrator.target.pace import UNLIMITED, Bucket, Pace

LASTS_S = 10.0


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def terms(budget=None, pace=UNLIMITED, **more):
    return Terms("a command", budget, {"orders": pace}, LASTS_S, **more)


@pytest.fixture
def lease(clock):
    return Lease(terms(), clock)


def test_a_lease_ends_by_itself(lease, clock):
    assert not lease.is_stopped()
    clock.now += LASTS_S
    assert lease.is_stopped()


def test_a_lease_that_is_renewed_goes_on(lease, clock):
    for _ in range(3):
        clock.now += LASTS_S - 1
        lease.renew(terms())
    assert not lease.is_stopped()


def test_a_stop_is_for_good(lease):
    lease.renew(terms(is_stopped=True))
    lease.renew(terms())
    assert lease.is_stopped()


def test_a_task_works_under_its_lease(clock):
    lease = Lease(terms(budget=100.0), clock)
    found = lease.run(lambda: lambda: (WORKER.is_stopped(), WORKER.governors["orders"].units_per_s))
    assert found == (False, 100.0)


def test_what_was_done_by_a_worker_that_found_its_lease_at_its_end_is_not_believed(lease, clock):
    def task():
        clock.now += LASTS_S
        assert WORKER.is_stopped()
        lease.renew(terms())  # too late: the task has stopped
        return "half of it"

    with pytest.raises(LeaseLost):
        lease.run(lambda: task)


def test_what_a_worker_did_that_was_told_to_stop_is_brought_back(lease, clock):
    def task():
        lease.renew(terms(is_stopped=True))
        clock.now += LASTS_S
        assert WORKER.is_stopped()
        return "half of it"

    assert lease.run(lambda: task) == "half of it"


def test_nothing_is_begun_that_was_prepared_when_the_lease_ended(lease, clock):
    def prepare():
        clock.now += LASTS_S
        assert WORKER.is_stopped()
        lease.renew(terms())
        return partial(pytest.fail, "it was begun")

    with pytest.raises(LeaseLost):
        lease.run(prepare)


def test_a_task_that_comes_before_the_renewal_waits_for_it(lease, clock):
    clock.now += LASTS_S
    timer = threading.Timer(0.05, lease.renew, [terms()])
    timer.start()
    assert lease.run(lambda: lambda: "done") == "done"


def test_a_renewal_tells_what_was_drawn_and_lends_anew(clock):
    lease = Lease(terms(budget=100.0, pace=50.0), clock)

    def task():
        governor = WORKER.governors["orders"]
        governor.take(40)
        governor.settle(40, 30)
        governor.throttled()
        clock.now += 1
        told = lease.renew(terms(budget=10.0, pace=20.0))
        assert governor.units_per_s == 10.0
        return told

    assert lease.run(lambda: task) == Told(1, Drawn(30, 1.0), {"orders": Drawn(30, 1.0, throttled=True)})


def test_a_process_keeps_a_lease_for_each_command(clock):
    leases = Leases(clock)
    one = leases.of(terms())
    assert leases.of(terms()) is one
    assert leases.of(Terms("another", None, {}, LASTS_S)) is not one


def test_a_lease_long_gone_is_forgotten(clock):
    leases = Leases(clock)
    one = leases.of(terms())
    clock.now += 10_000
    leases.of(Terms("another", None, {}, LASTS_S))
    assert leases.of(terms()) is not one


def test_the_terms_and_the_answer_travel():
    told = Told(1, Drawn(30, 1.0), {"orders": Drawn(30, 1.0)})
    assert pickle.loads(pickle.dumps((terms(), told))) == (terms(), told)


# ---- the coordinator's side


class Workers:
    """Processes that answer, unless they are among the silent."""

    def __init__(self):
        self.told = {}
        self.silent = set()
        self.under_way = 0

    async def __call__(self, process, terms):
        if process in self.silent:
            raise ConnectionError(process)
        self.told.setdefault(process, []).append(terms)
        return Told(self.under_way, Drawn(0, 0.5), {"orders": Drawn(100, 0.5, throttled=True)})


def renewal(workers, is_stopped=lambda: False):
    governors = {"orders": Governor(Bucket(100.0), Pace())}
    governors["orders"].begin_at(1_000.0)
    return Renewal("a command", governors, is_stopped, workers), governors["orders"]


def quickly(monkeypatch):
    monkeypatch.setattr(renewing, "RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(renewing, "_SLICE_S", 0.001)


def test_every_process_is_told_again_and_again(monkeypatch):
    quickly(monkeypatch)
    workers = Workers()

    async def work():
        renewed, _ = renewal(workers)
        renewed.take_up({"a": 1, "b": 1})
        while min(len(workers.told.get(each, ())) for each in "ab") < 5:
            await asyncio.sleep(0.01)
        await renewed.end()

    asyncio.run(asyncio.wait_for(work(), 30))
    assert all(terms.budget <= 100.0 for told in workers.told.values() for terms in told)


def test_one_that_does_not_answer_keeps_nobody_waiting(monkeypatch):
    quickly(monkeypatch)
    monkeypatch.setattr(renewing, "LEASE_S", 0.05)
    workers = Workers()
    workers.silent = {"a"}

    async def work():
        renewed, _ = renewal(workers)
        renewed.take_up({"a": 1, "b": 1})
        while len(workers.told.get("b", ())) < 5:
            await asyncio.sleep(0.01)
        await renewed.end()

    asyncio.run(asyncio.wait_for(work(), 30))


def test_throttling_on_another_host_slows_all_down(monkeypatch):
    quickly(monkeypatch)
    workers = Workers()

    async def work():
        renewed, governor = renewal(workers)
        renewed.take_up({"a": 1})
        while not workers.told:
            await asyncio.sleep(0.01)
        await renewed.end()
        return governor

    governor = asyncio.run(asyncio.wait_for(work(), 30))
    assert governor.pace.units_per_s == 700.0
    assert governor.pace.wait_s() == 0.0  # what was drawn elsewhere is no debt here


def test_the_end_tells_all_and_waits_for_what_is_under_way(monkeypatch):
    quickly(monkeypatch)
    workers = Workers()
    workers.under_way = 1

    async def work():
        renewed, _ = renewal(workers)
        renewed.take_up({"a": 1})
        ending = asyncio.create_task(renewed.end())
        await asyncio.sleep(0.1)
        assert not ending.done()
        workers.under_way = 0
        await ending

    asyncio.run(asyncio.wait_for(work(), 30))
    assert workers.told["a"][-1].is_stopped
