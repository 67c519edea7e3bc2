"""Whether the source gives just what a table holds, told without an item being looked up or kept by itself.

Items have a checksum, for short their sum: the product of (point - digest) over them, modulo a prime. It knows no
order, and the sums of parts multiply. Equal multisets have equal sums. Two unequal ones of up to n items meet at n
points at most, of more than 2**129, and the point is drawn anew for each verification, so that nobody can choose items
which deceive it. (R. J. Lipton, "Fingerprinting sets", 1989.)

The items fall into buckets by the first byte of their digests, and each has a sum of its own: where two sides differ in
a few items, few buckets do, and nothing else need be looked at.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import NewType

from msgspec import Struct, field

Point = NewType("Point", int)
#: One for each bucket
Sums = list[int]
Buckets = frozenset[int]

#: Poly1305's: well beyond every digest.
PRIME = 2**130 - 5
_DIGESTS = 2**128
_BUCKETS = 256
_SUM_BYTES = 17
ALL_BUCKETS: Buckets = frozenset(range(_BUCKETS))


def draw_point() -> Point:
    """Beyond every digest: a factor is never zero."""
    return Point(_DIGESTS + secrets.randbelow(PRIME - _DIGESTS))


def no_sums() -> Sums:
    """Those of no items."""
    return [1] * _BUCKETS


def sums_of(digests: Iterable[bytes], point: Point) -> Sums:
    """
    >>> point = draw_point()
    >>> a, b, c = (bytes([n] * 16) for n in range(3))
    >>> sums_of([a, b, c], point) == joined([sums_of([c, a], point), sums_of([b], point)])
    True
    >>> sums_of([a, b, b], point) == sums_of([a, a, b], point)
    False
    """
    sums = no_sums()
    add_to(sums, digests, point)
    return sums


def add_to(sums: Sums, digests: Iterable[bytes], point: Point) -> None:
    """Put more items with those that these are the sums of."""
    number = int.from_bytes
    for digest in digests:
        bucket = digest[0]
        sums[bucket] = sums[bucket] * (point - number(digest)) % PRIME


def joined(parts: Iterable[Sums]) -> Sums:
    """The sums of all the items that these are the sums of."""
    total = no_sums()
    for part in parts:
        total = [one * other % PRIME for one, other in zip(total, part, strict=True)]
    return total


def unequal(one: Sums, other: Sums) -> Buckets:
    """The buckets in which two sides differ."""
    return frozenset(bucket for bucket in ALL_BUCKETS if one[bucket] != other[bucket])


def is_in(digest: bytes, buckets: Buckets) -> bool:
    return digest[0] in buckets


def sums_to_bytes(sums: Sums) -> bytes:
    """
    >>> sums_from_bytes(sums_to_bytes(no_sums())) == no_sums()
    True
    """
    return b"".join(one.to_bytes(_SUM_BYTES) for one in sums)


def sums_from_bytes(joined: bytes) -> Sums:
    return [int.from_bytes(joined[place : place + _SUM_BYTES]) for place in range(0, len(joined), _SUM_BYTES)]


class SegmentSum(Struct):
    """What a segment gives, but for its items."""

    number: int  #: the segment's
    entity: int
    table: int  #: its number
    read: int = 0  #: rows
    items: int = 0
    sums: Sums = field(default_factory=no_sums)
    complete: bool = False  #: it was reached to its end
