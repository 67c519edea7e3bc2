import pytest

from migrator.errors import TargetError
from migrator.target.backoff import Patience, RetryPolicy, Timing, ask, pause
from migrator.target.faults import Verdict


def test_errors_in_a_row_use_up_the_attempts(clock):
    patience = Patience(RetryPolicy(max_attempts=3), clock)
    delays = [patience.delay_s(Verdict.TRANSIENT) for _ in range(3)]
    assert [delay is None for delay in delays] == [False, False, True]


def test_throttling_is_bounded_by_time_and_not_by_attempts(clock):
    patience = Patience(RetryPolicy(max_attempts=3, give_up_after_s=60), clock)
    tries = 0
    while (delay := patience.delay_s(Verdict.THROTTLED)) is not None:
        clock.sleep(max(delay, 0.01))
        tries += 1
    assert 3 < tries < 200
    assert clock.now == pytest.approx(1_060, abs=1)


def test_progress_begins_the_count_anew(clock):
    patience = Patience(RetryPolicy(max_attempts=2), clock)
    for _ in range(10):
        assert patience.delay_s(Verdict.TRANSIENT) is not None
        patience.progressed()


def test_delays_are_jittered_and_capped(clock):
    patience = Patience(RetryPolicy(give_up_after_s=1e9, longest_delay_s=5), clock)
    delays = [patience.delay_s(Verdict.THROTTLED) for _ in range(200)]
    assert max(delays) <= 5
    assert len(set(delays[20:])) > 100


def test_a_pause_ends_early_when_it_must_stop(clock):
    assert not pause(60, Timing(clock, clock.sleep), stop=lambda: clock.now > 1_002)
    assert clock.now < 1_003


def test_ask_repeats_what_may_pass(clock, error):
    answers = [error("ThrottlingException"), error("InternalServerError", status=500), {"ok": True}]

    def call():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert ask(call, "look", timing=Timing(clock, clock.sleep)) == {"ok": True}


def test_ask_gives_up_after_half_a_minute_without_an_answer(clock, error):
    def call():
        raise error("InternalServerError", status=500)

    with pytest.raises(TargetError, match="look: the service's words") as caught:
        ask(call, "look", timing=Timing(clock, clock.sleep))
    assert caught.value.retryable
    assert clock.now == pytest.approx(1_030, abs=2)


def test_ask_does_not_repeat_what_is_final(clock, error):
    def call():
        raise error("AccessDeniedException")

    with pytest.raises(TargetError) as caught:
        ask(call, "look", timing=Timing(clock, clock.sleep))
    assert (caught.value.code, clock.slept) == ("access_denied", [])


def test_ask_gives_up_when_it_must_stop(clock, error):
    def call():
        raise error("ThrottlingException")

    with pytest.raises(TargetError) as caught:
        ask(call, "look", timing=Timing(clock, clock.sleep), stop=lambda: True)
    assert (caught.value.code, clock.slept) == ("throttled", [])
