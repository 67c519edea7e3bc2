"""What every peer's script has in common: the source's items, and batches of 25."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from benchmarks.case import Item, ToNumber, iter_items, to_decimal
from benchmarks.cases import CASES

BATCH = 25

T = TypeVar("T")


def items(to_number: ToNumber = to_decimal) -> Iterator[Item]:
    """The items of the case and file named on the command line."""
    return iter_items(CASES[sys.argv[1]], sys.argv[2], to_number)


def iter_batches(source: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    rest = iter(source)
    while batch := list(islice(rest, size)):
        yield batch
