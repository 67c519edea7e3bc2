"""Columns with NULLs: an attribute where there is a value, and what stands for NULL where there is none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress, repeat
from operator import is_not

from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.columns import BACKSLASH, BETWEEN, dumped_texts, parted, texts
from migrator.mapping.counts import Summed
from migrator.mapping.wirevalues import OPENINGS

#: (column, before, absent): each value behind the bytes `before`, or `absent` for None; and the surplus of the values
Sparse = Callable[[Column, bytes, bytes], tuple[list[bytes], Summed]]


def is_there(column: Column) -> list[bool]:
    return list(map(is_not, column, repeat(None)))


def spread(form: Callable[[Column], Wires]) -> Sparse:
    """The values by themselves, in this form, each put where it belongs."""

    def write(column: Column, before: bytes, absent: bytes) -> tuple[list[bytes], Summed]:
        present = is_there(column)
        given = list(compress(column, present))
        wires = form(given) if given else Wires(())
        whole = iter(wires.joined(len(given), before))
        return [next(whole) if there else absent for there in present], wires.surplus_of(len(given))

    return write


def sparse_texts(column: Column, before: bytes, absent: bytes) -> tuple[list[bytes], Summed]:
    """Texts: written with null for None, what belongs there is put in for all rows at once."""
    dumped = BETWEEN + dumped_texts(column)
    if BACKSLASH in dumped:
        return spread(texts)(column, before, absent)
    text, null = BETWEEN + b'"', BETWEEN + b"null"
    given = len(column) - dumped.count(null)
    whole = dumped.replace(text, BETWEEN + before + OPENINGS["S"] + b'"').replace(null, BETWEEN + absent)
    return parted(whole[len(BETWEEN) :], len(column)), Summed(given, 0)
