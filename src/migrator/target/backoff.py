"""When to try again, after how long, and when to give up: the one place that retries.

botocore's own retries are off, so that attempts do not multiply. tenacity's strategies are evaluated here rather
than used as a decorator, because a batch is sent again in parts, and beside others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct
from tenacity import RetryCallState, Retrying, stop_after_delay, wait_random_exponential

from migrator.target.faults import CLIENT_ERRORS, Verdict, error_code, fault_of, to_target_error

# Long waits are taken in slices, so that a stop is noticed.
_SLICE_S = 0.25


class Timing(Struct, frozen=True):
    """Where time comes from; tests hand over their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL_TIME = Timing()


class RetryPolicy(Struct, frozen=True):
    """`max_attempts` bounds errors in a row; throttling and unprocessed items are bounded by time alone."""

    max_attempts: int = 10
    give_up_after_s: float = 300.0
    first_delay_s: float = 0.05
    longest_delay_s: float = 20.0


#: For writing, unless the plan says otherwise.
WRITING = RetryPolicy()
#: At the start of a command nobody should wait longer for an answer.
START = RetryPolicy(max_attempts=1_000, give_up_after_s=30.0, first_delay_s=0.2, longest_delay_s=4.0)
#: For what an engine may not know at all.
BRIEF = RetryPolicy(max_attempts=3, give_up_after_s=5.0, first_delay_s=0.1, longest_delay_s=1.0)

# After an error the other side needs longer than after a throttled request.
_FACTORS = {Verdict.TRANSIENT: 4.0}


class Patience:
    """The tries of one piece of work since its last progress."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self.progressed()

    def progressed(self) -> None:
        self.since = self._clock()
        self._attempts = self._errors = 0

    def delay_s(self, verdict: Verdict) -> float | None:
        """Seconds to wait before the next attempt, with full jitter; None: give up."""
        self._attempts += 1
        self._errors += verdict is Verdict.TRANSIENT
        state = RetryCallState(Retrying(), None, (), {})
        state.start_time, state.outcome_timestamp, state.attempt_number = self.since, self._clock(), self._attempts
        if self._errors >= self._policy.max_attempts or stop_after_delay(self._policy.give_up_after_s)(state):
            return None
        wait = wait_random_exponential(
            multiplier=self._policy.first_delay_s * _FACTORS.get(verdict, 1.0), max=self._policy.longest_delay_s
        )
        left_s = self._policy.give_up_after_s - (state.outcome_timestamp - self.since)
        return min(wait(state), left_s)


def never() -> bool:
    return False


def pause(delay_s: float, timing: Timing, stop: Callable[[], bool] = never) -> bool:
    """Sleep, but wake when `stop` says so; whether the whole time was slept."""
    until = timing.clock() + delay_s
    while (left_s := until - timing.clock()) > 0:
        if stop():
            return False
        timing.sleep(min(left_s, _SLICE_S))
    return not stop()


def ask(
    call: Callable[[], Any],
    doing: str,
    *,
    accept: Collection[str] = (),
    policy: RetryPolicy = START,
    timing: Timing = REAL_TIME,
    stop: Callable[[], bool] = never,
) -> Any:
    """Make one request with patience, until `stop` says so.

    None where the error code is in `accept`; other errors become a TargetError.
    """
    patience = Patience(policy, timing.clock)
    while True:
        try:
            return call()
        except CLIENT_ERRORS as error:
            if error_code(error) in accept:
                return None
            verdict = fault_of(error).verdict
            delay_s = patience.delay_s(verdict) if verdict in (Verdict.THROTTLED, Verdict.TRANSIENT) else None
            if delay_s is None or not pause(delay_s, timing, stop):
                raise to_target_error(error, doing) from error
