"""The workers of a command: how they start, what they know, and that a stop reaches them."""

import multiprocessing
import os
import sys
import threading

import pytest

from migrator.run import pool
from migrator.run.pool import Pool
from migrator.run.worker import WORKER
from migrator.run.workers import Workers, working


@pytest.fixture(params=[1, 2])
def workers(request):
    with working(Pool(request.param, lambda context: {"orders": "its governor"})) as workers:
        yield workers


def double(number):
    return number * 2


def state(_):
    return os.getpid(), WORKER.is_stopped(), dict(WORKER.governors)


def fail(number):
    raise ValueError(number)


def test_each_task_gives_its_result(workers: Workers):
    assert sorted(workers.map(double, ((number,) for number in range(50)))) == list(range(0, 100, 2))


def test_workers_share_what_paces_them(workers: Workers):
    assert all(governors == {"orders": "its governor"} for _, _, governors in workers.map(state, [(1,)]))


def test_a_stop_reaches_the_workers(workers: Workers):
    assert [stopped for _, stopped, _ in workers.map(state, [(1,)])] == [False]
    workers.stop.stop()
    assert [stopped for _, stopped, _ in workers.map(state, [(1,)])] == [True]


def test_tasks_are_drawn_only_a_few_ahead(workers: Workers):
    drawn = []
    results = workers.map(double, ((number,) for number in range(50) if drawn.append(number) is None))
    next(results)
    assert len(drawn) <= 5
    results.close()


def test_a_defect_in_a_worker_is_not_lost(workers: Workers):
    with pytest.raises(ValueError, match="7"):
        list(workers.map(fail, [(7,)]))


def test_a_task_that_follows_from_a_result_is_run_until_none_follows(workers: Workers):
    def follow(result):
        return (result // 2 - 1,) if result % 20 else None

    found = [n for results in workers.map_together(double, [(3,), (12,)], follow) for n in results]
    assert sorted(found) == [0, 2, 4, 6, 20, 22, 24]


def test_what_follows_is_asked_when_the_result_has_been_dealt_with(workers: Workers):
    dealt_with = []

    def follow(result):
        assert result in dealt_with
        return (result // 2 - 1,) if result else None

    for results in workers.map_together(double, [(2,)], follow):
        dealt_with.extend(results)
    assert dealt_with == [4, 2, 0]


def test_one_worker_is_this_process_and_two_are_others():
    for count, here in ((1, True), (2, False)):
        with working(Pool(count)) as workers:
            pids = {pid for pid, _, _ in workers.map(state, ((n,) for n in range(10)))}
        assert (pids == {os.getpid()}) is here


def test_the_end_of_its_time_stops_a_command():
    with working(Pool(1), max_duration_s=0.05) as workers:
        assert workers.stop.flag.wait(10)
        assert workers.stop.signal_number == 15


@pytest.mark.parametrize(
    ("platform", "threads", "method"), [("linux", 1, "fork"), ("linux", 2, "spawn"), ("darwin", 1, "spawn")]
)
def test_a_process_forks_only_where_that_is_safe(monkeypatch, platform, threads, method):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    assert pool._context() is multiprocessing.get_context(method)
