"""A column's values as they go on the wire, in as few pieces as they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from msgspec import Struct

from migrator.mapping.counts import Counts, Summed

Column = Sequence[Any]
#: Bytes that are the same in all rows, or those of each row.
_Piece = bytes | Sequence[bytes]


class Wires(Struct, frozen=True):
    """The values of a column, in pieces: what all rows have in common, and columns of what they have not.

    Their surplus is told in the same way, and worked out where it is asked. A closing bracket of each is left to what
    follows it.
    """

    pieces: tuple[_Piece, ...]
    surplus: int = 0
    surpluses: tuple[Counts, ...] = ()

    def joined(self, count: int, before: bytes = b"", after: bytes = b"") -> list[bytes]:
        """Each value by itself."""
        return _joined(_merged(before, *self.pieces, after), count)

    def parted(self, count: int) -> tuple[bytes, Sequence[bytes], bytes]:
        """The same without what all begin and end with, which stands before and behind."""
        begin, *inner = _merged(b"", *self.pieces, b"")
        end = inner.pop() if inner else b""
        assert isinstance(begin, bytes)
        assert isinstance(end, bytes)
        if len(inner) == 1 and not isinstance(inner[0], bytes):
            return begin, inner[0], end
        return begin, _joined(inner, count), end

    def surplus_of(self, count: int) -> Summed:
        """The surplus of so many values."""
        return Summed(count, self.surplus, self.surpluses)


def _merged(*pieces: _Piece) -> list[_Piece]:
    """Neighbours that all rows have in common are one."""
    merged: list[_Piece] = []
    same: list[bytes] = []
    for piece in pieces:
        if type(piece) is bytes:
            same.append(piece)
        else:
            merged += (b"".join(same), piece) if same else (piece,)
            same = []
    return [*merged, b"".join(same)] if same else merged


def _joined(pieces: Iterable[_Piece], count: int) -> list[bytes]:
    columns = [repeat(piece, count) if isinstance(piece, bytes) else piece for piece in pieces]
    return list(map(b"".join, zip(*columns, strict=True))) if columns else [b""] * count
