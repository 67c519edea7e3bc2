"""Write capacity lent: a rate that many hosts use together, though they share no memory.

Whoever owns the rate lends a share of it to each borrower, again and again. What a borrower drew, and for how long
its share kept it waiting, tells what it would draw: it gets a little more than that, and what it cannot use goes to
those who can. A share grows only by what the others have given back, so that all have no more than there is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from migrator.target.pace import UNLIMITED, Bucket, Clock

# Of the rate, what a borrower has until it is told its share: a bucket without any rate would never fill.
_TRICKLE = 0.001
# Who waits for so much of the time would draw any share.
_HUNGRY = 0.5
# What who waits less may grow by, and how fast it gives back.
_ROOM = 1.15
_GIVES_BACK = 0.25
# Who draws nothing keeps so much of an equal share: with less it could not show that it wants more.
_LEAST = 0.05
#: Of so many last times: requests are lumps.
_REMEMBERED = 4


class Drawn(Struct, frozen=True):
    """What a borrower used of its share since it told last."""

    units: float
    seconds: float
    waited_s: float = 0.0  #: of these seconds, where somebody would have sent more
    throttled: bool = False


class Lent(Bucket):
    """A borrower's share, of a budget or of a table's pace."""

    def __init__(self, units_per_s: float, clock: Clock = time.monotonic) -> None:
        super().__init__(units_per_s, clock)
        self._units = self._waited_s = 0.0
        self._throttled = False
        self._told_at = self._waits_since = self._waits_until = clock()

    def wait_s(self) -> float:
        wait_s = super().wait_s()
        if wait_s:
            with self._lock:
                now = self._clock()
                if now > self._waits_until:
                    self._count_wait(self._waits_until)
                    self._waits_since = now
                self._waits_until = now + wait_s
        return wait_s

    def settle(self, taken: float, consumed: float) -> None:
        with self._lock:
            self._units += consumed
        if self.units_per_s != UNLIMITED:
            super().settle(taken, consumed)

    def throttled(self) -> None:
        """The owner slows all borrowers down."""
        self._throttled = True

    def begin_at(self, units_per_s: float) -> None:
        """The owner knows what the table says that it takes."""

    def lend(self, units_per_s: float) -> None:
        with self._lock:
            now = self._clock()
            self._change_rate(now, units_per_s)
            # Whoever waits asks again soon, and may find that it has waited long enough.
            self._waits_until = min(self._waits_until, now)

    def tell(self) -> Drawn:
        """What was drawn since this was asked last."""
        with self._lock:
            now = self._clock()
            self._count_wait(min(now, self._waits_until))
            drawn = Drawn(self._units, now - self._told_at, self._waited_s, self._throttled)
            self._units, self._waited_s, self._throttled, self._told_at = 0.0, 0.0, False, now
        return drawn

    def _count_wait(self, until: float) -> None:
        self._waited_s += max(0.0, until - self._waits_since)
        self._waits_since = max(until, self._waits_since)


class _Borrower:
    def __init__(self) -> None:
        self.most = 0.0  #: what it has at most: a share that it was told, but did not confirm, counts
        self._share = 0.0
        self._recent: deque[Drawn] = deque(maxlen=_REMEMBERED)

    def tell(self, share: float) -> None:
        self.most = share if UNLIMITED in (self.most, share) else max(self.most, share)

    def confirm(self, share: float, drawn: Drawn) -> None:
        self._recent.append(drawn)
        self._share = self.most = share

    @property
    def wanted(self) -> float:
        """Units a second; UNLIMITED: as much as can be had."""
        seconds = sum(drawn.seconds for drawn in self._recent)
        free_s = seconds - sum(drawn.waited_s for drawn in self._recent)
        if free_s <= (1 - _HUNGRY) * seconds:
            return UNLIMITED
        would_draw = sum(drawn.units for drawn in self._recent) / free_s
        return max(would_draw * _ROOM, self._share * (1 - _GIVES_BACK))


class Lender:
    """Lends a rate that may change. `confirm` what a borrower has been told, `forget` one that is gone."""

    def __init__(self, units_per_s: Callable[[], float]) -> None:
        self._units_per_s = units_per_s
        self._borrowers: dict[str, _Borrower] = {}

    @property
    def trickle(self) -> float:
        """What a borrower begins with that is not known yet."""
        return self._units_per_s() * _TRICKLE

    def share(self, name: str) -> float:
        """What to tell this borrower now."""
        borrower = self._borrowers.setdefault(name, _Borrower())
        share = self._units_per_s()
        if share != UNLIMITED:
            # Those that had no limit are about to be told of one.
            others = sum(b.most for n, b in self._borrowers.items() if n != name and b.most != UNLIMITED)
            fair = apportion(share, {n: b.wanted for n, b in self._borrowers.items()})[name]
            share = max(min(fair, share - others), self.trickle)
        borrower.tell(share)
        return share

    def confirm(self, name: str, share: float, drawn: Drawn) -> None:
        """The borrower has this share now, and drew so much of the one before."""
        if borrower := self._borrowers.get(name):
            borrower.confirm(share, drawn)

    def forget(self, name: str) -> None:
        self._borrowers.pop(name, None)


def apportion(units_per_s: float, wanted: Mapping[str, float]) -> dict[str, float]:
    """Shares of a rate: nobody has less than another who does not want more. What nobody wants is shared alike.

    >>> apportion(90, {"slow": 10, "fast": UNLIMITED, "faster": UNLIMITED})
    {'slow': 10, 'fast': 40.0, 'faster': 40.0}
    >>> apportion(90, {"slow": 10, "idle": 0.0})
    {'slow': 48.875, 'idle': 41.125}
    """
    least = units_per_s / max(1, len(wanted)) * _LEAST
    wants = {name: max(want, least) for name, want in wanted.items()}
    shares: dict[str, float] = {}
    left, heads = units_per_s, len(wants)
    for name, want in sorted(wants.items(), key=lambda pair: pair[1]):
        shares[name] = min(want, left / heads)
        left -= shares[name]
        heads -= 1
    spare = max(0.0, left) / max(1, len(shares))
    return {name: shares[name] + spare for name in wanted} if spare else {name: shares[name] for name in wanted}
