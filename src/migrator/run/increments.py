"""What a plan says of incremental runs: how a run tells what changed, and what it may delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil
from typing import Literal

from msgspec import Struct

from migrator.node import Node, describe
from migrator.run.durations import read_duration

_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_OVERLAP_S = 300.0
_WATERMARK = "{watermark: {column: updated_at, overlap: 5m}}"


class DeleteLimit(Struct, frozen=True):
    """How many items a run may delete: a number, or a share of those that it knew before."""

    text: str  #: as the plan says it
    number: int | None = None
    share: Fraction = Fraction(0)

    def of(self, items: int) -> int:
        """A share is rounded up, so that of a small table at least one item may go.

        >>> DeleteLimit("10%", share=Fraction(1, 10)).of(31), DeleteLimit("7", number=7).of(31)
        (4, 7)
        """
        return ceil(items * self.share) if self.number is None else self.number


class ByHash(Struct, frozen=True):
    """Every row is rendered; what is sent is what differs from what a ledger says of the last run."""

    on_missing: Literal["delete", "keep"] = "delete"
    max_deletes: DeleteLimit = DeleteLimit("10%", share=Fraction(1, 10))  # frozen

    @property
    def name(self) -> str:
        return "hash"


class ByWatermark(Struct, frozen=True):
    """Only rows are read whose column is not older than the newest of the last run, less the overlap."""

    column: str
    overlap_s: float = _OVERLAP_S

    @property
    def name(self) -> str:
        return f"watermark: {self.column}"


Incremental = ByHash | ByWatermark


def read_incremental(node: Node) -> Incremental | None:
    """`hash`, `off`, or a map of the way and what is to be said of it."""
    if isinstance(node.value, dict):
        (way, *others) = node.map_keys() or [""]
        if others or way not in _WAYS:
            node.refuse("must name one way: hash, or watermark", f"as in {_WATERMARK}")
        return _WAYS[way](node.child(way))
    way = node.choice("off", "hash", or_else=f"or a map: {_WATERMARK}")
    return ByHash() if way == "hash" else None


def _read_hash(node: Node) -> ByHash:
    fields = node.fields("on_missing", "max_deletes")
    on_missing: Literal["delete", "keep"] = fields.get("on_missing", _on_missing, ByHash().on_missing)
    limit = fields.get("max_deletes", _limit, ByHash().max_deletes)
    fields.finish()
    return ByHash(on_missing, limit)


def _on_missing(node: Node) -> Literal["delete", "keep"]:
    return "keep" if node.choice("delete", "keep") == "keep" else "delete"


def _limit(node: Node) -> DeleteLimit:
    if isinstance(node.value, str) and (match := _SHARE.fullmatch(node.value)):
        share = Fraction(match[1]) / 100
        if share > 1:
            node.refuse(f"must be at most 100%, and is {describe(node.value)}")
        return DeleteLimit(node.value, share=share)
    if isinstance(node.value, str) and not node.value.isdecimal():
        node.refuse(f"must be a share, as 10%, or a number of items, and is {describe(node.value)}")
    number = node.integer(0)
    return DeleteLimit(str(number), number=number)


def _read_watermark(node: Node) -> ByWatermark:
    fields = node.fields("column", "overlap")
    column = fields.need("column", Node.text)
    overlap_s = fields.get("overlap", read_duration, _OVERLAP_S)
    fields.finish()
    return ByWatermark(column, overlap_s)


_WAYS: Mapping[str, Callable[[Node], Incremental]] = {"hash": _read_hash, "watermark": _read_watermark}
