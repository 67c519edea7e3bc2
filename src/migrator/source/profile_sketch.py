"""How many distinct values, in bounded memory: exact while they are few, then estimated with a known error.

The K smallest hashes of all values ("bottom-k", KMV) tell how densely hashes lie, hence how many there are:
Bar-Yossef et al., Counting Distinct Elements in a Data Stream, 2002; the unbiased form and its error are
Beyer et al., On Synopses for Distinct-Value Estimation, SIGMOD 2007, 4.2. A library for it exists (datasketches);
it brings numpy's 73 MB into every installation for these lines.
"""

from __future__ import annotations

import heapq
from hashlib import blake2b
from math import sqrt

#: hashes kept; up to here the answer is exact
K = 4096
#: half of a 95 % interval, as a share of the estimate
ERROR = 1.96 / sqrt(K - 2)

_LONGEST_RECENT = 64
_HASH_BYTES = 8
_HASHES = 1 << (8 * _HASH_BYTES)


class DistinctSketch:
    """An aggregate for `sqlite3.Connection.create_aggregate`, of numbers, of TEXT as BLOB, and of BLOBs as their hex.

    So the classes stay apart, and text that is not UTF-8 arrives. Gives an INTEGER where it counted and a REAL
    where it estimated.
    """

    def __init__(self) -> None:
        self._recent: set[float | bytes | str] = set()  #: spares hashing where few values take turns
        self._kept: set[bytes] = set()
        self._limit = b"\xff" * (_HASH_BYTES + 1)  #: a hash that is not below it cannot be among the K smallest
        self._overflowed = False

    def step(self, value: float | bytes | str | None) -> None:
        if value is None or value in self._recent:
            return
        tagged = value + b"t" if type(value) is bytes else _tagged(value)
        digest = blake2b(tagged, digest_size=_HASH_BYTES).digest()
        if digest < self._limit:
            self._kept.add(digest)
            # Twice K before the larger half goes, so that cutting costs little for each value.
            if len(self._kept) > 2 * K:
                self._cut()
        if not self._overflowed and len(tagged) < _LONGEST_RECENT:
            self._recent.add(value)

    def finalize(self) -> int | float:
        if len(self._kept) > K:
            self._cut()
        if not self._overflowed:
            return len(self._kept)
        return (K - 1) * _HASHES / int.from_bytes(self._limit, "big")

    def _cut(self) -> None:
        smallest = heapq.nsmallest(K, self._kept)
        self._kept, self._recent = set(smallest), set()
        self._limit = smallest[-1]
        self._overflowed = True


def _tagged(value: float | bytes | str) -> bytes:
    """1 and 1.0 are one value; '1' and x'31' are others.

    >>> _tagged(1.0) == _tagged(1), _tagged("31")
    (True, b'31b')
    """
    if isinstance(value, str):
        return value.encode() + b"b"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return repr(value).encode() + b"n"
