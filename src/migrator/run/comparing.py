"""A worker's look into the ledger: which of a segment's items differ from what the last run left of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import accumulate, compress
from operator import not_
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from migrator.mapping.canonical import key_text
from migrator.mapping.encoded import EncodedItem, EncodedItems
from migrator.run.intents import Intents
from migrator.run.ledger import (
    DIGEST_BYTES,
    PAGE_ITEMS,
    ROW_BYTES,
    UNSURE,
    Entry,
    LedgerPart,
    Page,
    UnitName,
    digests_of,
    key_of,
)
from migrator.run.ledgerfile import LedgerFile, reading_ledger
from migrator.run.segment import Segment, SegmentResult, Unit
from migrator.run.undo import part_file
from migrator.source.rows import is_numbered

#: Rows that are only numbered move when others come or go. So far from its old place, a row is known again.
_REACH_ROWS = 20_000
_POSITION_BITS = 32


class LedgerUse(Struct, frozen=True):
    """What a worker compares with."""

    base: Path | None  #: the ledger of the last run; without one, every item differs
    intents: Path | None  #: the folder where items are noted before they are sent; None where none are
    sole_source: bool


def unit_name(unit: Unit, *, sole_source: bool) -> UnitName:
    path = "" if sole_source or unit.snapshot is None else unit.snapshot.path
    return UnitName(unit.name, path, unit.table.name)


class Comparison:
    """A part of a segment, compared item by item. close() it."""

    def __init__(self, segment: Segment, use: LedgerUse) -> None:
        self.unchanged = 0
        self._segment = segment
        self._table = segment.unit.table
        self._held = ExitStack()
        base = self._held.enter_context(reading_ledger(use.base)) if use.base and segment.origins else None
        self._known = _Known(base, segment)
        self._pages = _Pages(self._known, segment.done)
        path = part_file(use.intents, segment.number, segment.done) if use.intents else None
        self._intents = Intents(path, unit_name(segment.unit, sole_source=use.sole_source))
        self._held.callback(self._intents.close)
        self._rejected: set[bytes] = set()

    def close(self) -> None:
        self._held.close()

    def at(self, place: int) -> None:
        """The next rows begin at this place of the segment."""
        self._pages.at(place)
        self._known.look_around(self._pages.began, place)

    def changed(self, items: Sequence[EncodedItem], row_of: Callable[[int], bytes]) -> Sequence[EncodedItem]:
        """Items that are to be sent now: of these, or of those before. `row_of` names the row of an item."""
        columns = EncodedItems.of(items)
        digests = digests_of(columns)
        new = self._known.unknown(digests)
        self.unchanged += len(digests) - len(new)
        entries = [Entry(digests[n], row_of(n), key_of(columns.wires[n], self._table)) for n in new]
        self._pages.add(digests, zip(new, entries, strict=True))
        return self._intents.take(columns.picked(new), entries) if new else ()

    def rest(self) -> Sequence[EncodedItem]:
        """What differs and is not sent yet."""
        return self._intents.rest()

    def skip(self, item: EncodedItem, row: bytes) -> None:
        """An earlier row has given an equal one. When that row goes, this one still gives it."""
        self._pages.add([UNSURE], [(0, Entry(UNSURE, row, key_of(item.wire, self._table)))])

    def reject(self, row: bytes) -> None:
        """What the row gave before stays."""
        self._rejected.add(row)

    def settle(self, result: SegmentResult) -> None:
        """Put into the result what became of the part, once its sink is closed."""
        result.unchanged = self.unchanged
        write = result.write
        stopped = write.stopped or self._intents.stopped
        result.write = replace(write, unsent=write.unsent + self._intents.unsent, stopped=stopped)
        if result.is_settled:
            failed = frozenset(key_text(item.key, self._table).encode("ascii") for item in write.failed)
            pages = self._pages.close(result.done, failed)
            carried = self._known.same_part(pages) if result.complete and not result.done_before else None
            result.ledger = LedgerPart(pages if carried is None else (), frozenset(self._rejected), carried)


class _Known:
    """What the last run left of the rows at hand: of numbered rows those around, of others all of the segment."""

    def __init__(self, base: LedgerFile | None, segment: Segment) -> None:
        self._base = base
        self._origins = segment.origins if base else ()
        self._is_numbered = segment.unit.read is not None and is_numbered(segment.unit.read.relation)
        sizes = list(base.iter_page_rows(self._origins)) if base else []
        self._refs = [(part, place) for part, place, _ in sizes]
        self._ends = list(accumulate(rows for _, _, rows in sizes))
        self._loaded: dict[int, Page] = {}
        self._split: dict[int, list[bytes]] = {}
        self._places: dict[bytes, int] = {}
        if not self._is_numbered:
            self._load(range(len(self._refs)))

    def look_around(self, low: int, high: int) -> None:
        """The rows from `low` to `high` are at hand, and some more."""
        if self._is_numbered:
            first = bisect_right(self._ends, low - _REACH_ROWS)
            last = bisect_right(self._ends, high + _REACH_ROWS)
            self._load(range(first, min(last + 1, len(self._refs))))

    def unknown(self, digests: Sequence[bytes]) -> list[int]:
        """The places of those that are not known."""
        is_known = map(self._places.__contains__, digests)
        return list(compress(range(len(digests)), map(not_, is_known)))

    def iter_rows(self, digests: Sequence[bytes]) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """The names of the rows, joined, and the keys of these items: of all at once where they stand as they stood."""
        number, first = divmod(self._places[digests[0]], 1 << _POSITION_BITS)
        page, last = self._loaded[number], first + len(digests)
        if page.digests[first * DIGEST_BYTES : last * DIGEST_BYTES] == b"".join(digests):
            yield page.names[first * ROW_BYTES : last * ROW_BYTES], self.keys(number)[first:last]
        elif len(digests) > 1:
            middle = len(digests) // 2
            yield from self.iter_rows(digests[:middle])
            yield from self.iter_rows(digests[middle:])

    def page(self, number: int) -> Page | None:
        return self._loaded.get(number)

    def keys(self, number: int) -> list[bytes]:
        """Those of a page."""
        if number not in self._split:
            self._split[number] = self._loaded[number].split_keys()
        return self._split[number]

    def same_part(self, pages: Sequence[Page]) -> int | None:
        """The part that consists of just these pages."""
        if len(self._origins) != 1 or len(pages) != len(self._refs):
            return None
        same = all(page == self._loaded.get(n) for n, page in enumerate(pages))
        return self._origins[0] if same else None

    def _load(self, wanted: Collection[int]) -> None:
        for number in self._loaded.keys() - set(wanted):
            for digest in self._loaded.pop(number).split_digests():
                if self._places.get(digest, -1) >> _POSITION_BITS == number:
                    del self._places[digest]
            self._split.pop(number, None)
        for number in [n for n in wanted if n not in self._loaded]:
            assert self._base is not None
            page = self._loaded[number] = self._base.page(*self._refs[number])
            first = number << _POSITION_BITS
            self._places.update(zip(page.split_digests(), range(first, first + len(page)), strict=True))
        self._places.pop(UNSURE, None)


class _Pages:
    """The pages that come of a part."""

    def __init__(self, known: _Known, place: int) -> None:
        self.began = place  #: the first row of the page at work
        self._known = known
        self._pages: list[Page] = []
        self._digests: list[bytes] = []
        self._new: dict[int, Entry] = {}  #: items that differ, by their places in the page

    def at(self, place: int) -> None:
        if len(self._digests) >= PAGE_ITEMS:
            self._cut(place)

    def add(self, digests: Sequence[bytes], new: Iterable[tuple[int, Entry]]) -> None:
        first = len(self._digests)
        self._digests += digests
        self._new.update((first + n, entry) for n, entry in new)

    def close(self, place: int, failed: frozenset[bytes]) -> Sequence[Page]:
        """All of them; what failed is to be sent again."""
        self._cut(place)
        return [page.unsure_of(failed) or page for page in self._pages] if failed else self._pages

    def _cut(self, place: int) -> None:
        rows = place - self.began
        if not rows and not self._digests:
            return
        number, digests = len(self._pages), b"".join(self._digests)
        page = self._known.page(number)
        if self._new or page is None or page.rows != rows or page.digests != digests:
            names, keys = self._rows()
            if page is not None and keys == self._known.keys(number):
                page = Page(rows, digests, names, page.keys)  # packing them again would give the same
            else:
                page = Page.of(rows, digests, names, keys)
        self._pages.append(page)
        self.began, self._digests, self._new = place, [], {}

    def _rows(self) -> tuple[bytes, list[bytes]]:
        """The names of the rows, and the keys: new ones, and those between them as the last run left them."""
        names: list[bytes] = []
        keys: list[bytes] = []
        begin = 0
        for place in (*sorted(self._new), len(self._digests)):
            for name, some in self._known.iter_rows(self._digests[begin:place]) if begin < place else ():
                names.append(name)
                keys += some
            if entry := self._new.get(place):
                names.append(entry.row)
                keys.append(entry.key)
            begin = place + 1
        return b"".join(names), keys
