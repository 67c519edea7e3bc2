"""Which items of the last run no row gives any more.

An item is looked for where its row was. What is not found there may have come to be given by another row, of another
entity even, so that whatever is left is looked for in all that the plan's rows give. Nothing of this needs more memory
than a few pages of the ledger; the keys that are left stand in the draft.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from migrator.run.draft import Draft
from migrator.run.ledger import UNSURE, Page, UnitName
from migrator.run.ledgerfile import LedgerFile, Stray, UnitRow

#: Keys that are looked for in one pass over the ledger.
_AT_ONCE = 50_000


class Scope(Struct, frozen=True):
    """What a run may say of the ledger."""

    units: Collection[UnitName]  #: that it does
    defined: Collection[str]  #: the entities of the plan's mappings
    sources: Collection[str]  #: as unit names have them
    entities: Collection[str] | None  #: with --entity: strays of others are left alone
    void: Collection[str]  #: tables that were made anew since

    def gives(self, name: UnitName, table: str) -> bool:
        """Whether it is a unit of the plan that the run leaves out, so that what it gave it still gives."""
        return name.table == table and name not in self.units and self.knows(name)

    def knows(self, name: UnitName) -> bool:
        """Whether it is a unit of the plan."""
        return name.entity in self.defined and name.source in self.sources

    def has_stray(self, stray: Stray) -> bool:
        return stray.table not in self.void and (self.entities is None or stray.entity in self.entities)


def find_missing(base: LedgerFile, draft: Draft, origins: Mapping[int, Sequence[int]], scope: Scope) -> None:
    """Put what is missing into the draft. `origins`: part of the ledger -> the segments that have its rows now."""
    carried = draft.carried()
    units = {name: unit for name, unit in base.units().items() if name.table not in scope.void}
    draft.clear_missing()
    for name in units.keys() & set(scope.units):
        for part in base.parts(units[name]):
            if part.number not in carried:
                draft.add_missing(_left_of(name, base, part.number, draft, origins.get(part.number, ())))
    draft.add_missing(stray for stray in base.iter_strays() if scope.has_stray(stray))
    for table in draft.missing_by("tbl"):
        others = [unit for name, unit in units.items() if scope.gives(name, table)]
        after = ""
        while keys := draft.missing_keys(table, after, _AT_ONCE):
            after = keys[-1]
            draft.remove_missing(table, _found(frozenset(keys), _iter_given(table, base, others, draft)))
    draft.hold_rejected()


def _found(keys: frozenset[str], pages: Iterable[Page]) -> set[str]:
    wanted = {key.encode("ascii") for key in keys}
    return {key.decode("ascii") for page in pages for key in wanted.intersection(page.split_keys())}


def _iter_given(table: str, base: LedgerFile, others: Iterable[UnitRow], draft: Draft) -> Iterator[Page]:
    """All that the plan's rows give to a table, and a little more: whose table a carried part is of does not matter."""
    for name, unit in draft.units().items():
        if name.table == table:
            for part in draft.parts(unit):
                yield from base.iter_pages(part.carried) if part.carried else draft.iter_pages(part.number)
    for unit in others:
        for part in base.parts(unit):
            yield from base.iter_pages(part.number)


def _left_of(name: UnitName, base: LedgerFile, part: int, draft: Draft, segments: Iterable[int]) -> Iterable[Stray]:
    """What the part has, and its rows' segments do not give."""
    parts = [number for segment in segments for number in draft.parts_of_segment(segment)]
    now = [page for number in parts for page in draft.iter_pages(number)]
    then = list(base.iter_pages(part))
    if {page.keys for page in then} <= {page.keys for page in now}:
        return ()  # rows have changed, and no key
    given = [digest for page in now for digest in page.split_digests()]
    before = [digest for page in then for digest in page.split_digests()]
    left = _left(before, given)
    rows: dict[bytes, bytes] = {}  # by key
    first = 0
    for page in then if left else ():
        keys, names, end = page.split_keys(), page.split_names(), first + len(page)
        rows.update((keys[n - first], names[n - first]) for n in left if first <= n < end)
        first = end
    for page in now if rows else ():
        for key in rows.keys() & page.split_keys():
            del rows[key]
    return (Stray(name.table, key.decode("ascii"), name.entity, name.source, row) for key, row in rows.items())


def _left(before: Sequence[bytes], given: Sequence[bytes]) -> Sequence[int]:
    """The places of digests that are not given any more.

    >>> _left([b"a", b"b", b"c"], [b"a", b"x", b"c"]), _left([b"a", b"b", b"c"], [b"c", b"a"])
    ([1], [1])
    """
    places: Sequence[int] = range(len(before))
    if len(before) == len(given):
        # Nearly all stand where they stood, so that a set of all of them is spared.
        places = [n for n, digest in enumerate(before) if digest != given[n] or digest == UNSURE]
        given = [given[n] for n in places]
    kept = set(given) - {UNSURE}
    return [n for n in places if before[n] not in kept]
