"""The two sides of a verification, read into its file: what the source gives, and what the tables hold.

The source's is summed where that tells enough (`run.sums`), else rendered into records; pages of the tables are kept as
they come, and made into rows where items are to be laid side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import groupby

from migrator.errors import InterruptedRun
from migrator.mapping.canonical import digest
from migrator.mapping.model import TableDefinition
from migrator.run.actual import ActualStore
from migrator.run.agreement import keep_repeats
from migrator.run.collisions import found_losers
from migrator.run.comparison import iter_sampled_keys
from migrator.run.digests import DigestStore
from migrator.run.opened import OpenRun
from migrator.run.progress import progress_bar
from migrator.run.scan import get_items, scan_in_parallel
from migrator.run.sourcesums import SourceSums
from migrator.run.sums import ALL_BUCKETS, Buckets, unequal
from migrator.run.workers import Workers
from migrator.target.rawpages import create_raw_client
from migrator.target.reading import Ask

SCAN_SEGMENTS = 4


class Sides:
    """Both of them, of these tables (by their numbers)."""

    def __init__(
        self,
        opened: OpenRun,
        tables: Mapping[int, TableDefinition],
        workers: Workers,
        store: DigestStore,
        ask: Ask,
        *,
        progress: bool,
    ) -> None:
        self.store = store
        self.actual = ActualStore(store)
        self._opened = opened
        self._tables = tables
        self._workers = workers
        self._ask = ask
        self._bar = partial(progress_bar, shown=progress)

    def read(self, *, one_by_one: bool) -> tuple[dict[int, int], bool]:
        """Read all of both. Gives how many items of each entity are expected, and whether the sides are equal.

        Where they are not, the store has what is to be compared; it has all that is expected where the items are asked
        for `one_by_one`.
        """
        sums = SourceSums(self.store)
        source = self.render() if one_by_one else self._sum(sums)
        self._scan()
        differing = {
            number: buckets
            for number in self._tables
            if (buckets := unequal(source.sums_of(number, sums.point), self.actual.sums_of(number, sums.point)))
        }
        counts = source.counts()
        if differing and one_by_one:
            differing = dict.fromkeys(self._tables, ALL_BUCKETS)
        elif differing:
            self.render(differing)
        for number, buckets in differing.items():
            self.actual.spread(number, self._tables[number], buckets)
        return counts, not differing

    def render(self, buckets: Mapping[int, Buckets] | None = None) -> DigestStore:
        """What the tables are to hold: every row's items, less those that lost their key to an earlier row.

        With `buckets`, by the tables' numbers, nothing but the items in them.
        """
        with self._bar("rendered") as bar:
            for result in self._opened.iter_rendered(self._workers, self.store.rendered(), buckets):
                if result.complete:
                    self.store.add(result.records, segment=result.number)
                bar.update(result.read)
        check_stop(self._workers)
        if self._opened.needs_proof():
            # Each step may have been done by an earlier part, and leaves what it did as it is.
            losers = found_losers(self.store, self._opened.labels()) or self._opened.losers(self.store)
            keep_repeats(self.store)
            losers.remove_from_store()
        return self.store

    def get_sample(self) -> None:
        """Look for what `take_sample` took."""
        for number, keys in groupby(iter_sampled_keys(self.store), lambda sampled: sampled[0]):
            texts = (text for _, text in keys)
            for items in get_items(self._opened.client(), self._tables[number], texts, self._ask):
                check_stop(self._workers)
                self.actual.add(number, [(key, digest(item)) for key, item in items])

    def _sum(self, sums: SourceSums) -> SourceSums:
        with self._bar("rendered") as bar:
            for result in self._opened.iter_sums(self._workers, sums.point, sums.done()):
                if result.complete:
                    sums.add(result)
                bar.update(result.read)
        check_stop(self._workers)
        return sums

    def _scan(self) -> None:
        client = create_raw_client(self._opened.plan.target)
        with self._bar("scanned") as bar:
            for number, table in self._tables.items():
                for page in scan_in_parallel(client, table, SCAN_SEGMENTS, self._ask, self.actual.scanned(number)):
                    self.actual.add_page(number, page)
                    bar.update(len(page.keys))
                    check_stop(self._workers)


def check_stop(workers: Workers) -> None:
    """Raises InterruptedRun where the command was told to stop: there is nothing to drain."""
    if workers.stop.signal_number:
        raise InterruptedRun(workers.stop.signal_number)
