"""What the rows of a part gave: which items of them go on, which rows are rejected or lose a key, and the counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from migrator.errors import RowRejected
from migrator.mapping.compile import Outcome
from migrator.mapping.encoded import EncodedItem, EncodedRow
from migrator.run.collisions import Loser
from migrator.run.comparing import Comparison
from migrator.run.ledger import NAMELESS, row_name
from migrator.run.segment import SegmentResult, Unit, reject_row
from migrator.source.rows import RawRow, Row


class PartAccounts:
    """Counts into `result`. `row_of` reads a raw row, where something is to be said of it."""

    def __init__(
        self,
        result: SegmentResult,
        unit: Unit,
        losers: Mapping[int, Loser],
        comparison: Comparison | None,
        row_of: Callable[[RawRow], Row],
        reject_limit: int | None,
    ) -> None:
        self._result = result
        self._unit = unit
        self._losers = losers
        self._comparison = comparison
        self._row_of = row_of
        self._reject_limit = reject_limit

    @property
    def has_too_many_rejects(self) -> bool:
        return self._reject_limit is not None and len(self._result.rejects) > self._reject_limit

    def by_columns(self, rows: Sequence[RawRow], items: Sequence[EncodedItem]) -> None:
        """Each of the rows gave one item, and nothing is to be said of any."""
        self._result.read += len(rows)
        self._result.rendered_rows += len(rows)
        self._result.items += len(items)

    def all_of(self, encoded_rows: Sequence[EncodedRow]) -> list[EncodedItem]:
        """The items of rows that nothing is to be said of, which is nearly all of them."""
        items = [item for encoded in encoded_rows for _, item in encoded.items]
        self._result.read += len(encoded_rows)
        self._result.rendered_rows += len(encoded_rows)
        self._result.warnings += sum([encoded.warnings for encoded in encoded_rows])
        self._result.items += len(items)
        return items

    def judged(
        self, rows: Sequence[RawRow], outcomes: Sequence[Outcome]
    ) -> tuple[list[EncodedItem], Sequence[RawRow], list[int]]:
        """The items of rows some of which are rejected or lose a key, up to the reject that is too much.

        With the rows, and how many items each of them gave.
        """
        items: list[EncodedItem] = []
        counts: list[int] = []
        for row, outcome in zip(rows, outcomes, strict=True):
            loser = self._losers.get(self._result.done)
            self._result.read += 1
            settled = outcome if loser is None else _without_lost_key(outcome, loser)
            taken = self._taken(settled, loser, row) if isinstance(settled, EncodedRow) else []
            items.extend(taken)
            counts.append(len(taken))
            if isinstance(settled, EncodedRow):
                self._result.rendered_rows += 1
            else:
                self._reject(row, settled)
                if self.has_too_many_rejects:
                    break
        return items, rows, counts

    def fixed(self, position: int, encoded: EncodedRow) -> list[EncodedItem]:
        """What a fixed item, which comes of no row, gives."""
        return self._taken(encoded, self._losers.get(position))

    def _reject(self, row: RawRow, reason: RowRejected) -> None:
        found = self._row_of(row)
        self._result.rejects.append(reject_row(self._unit, found, reason))
        if self._comparison:
            self._comparison.reject(row_name(found.key))

    def _taken(self, encoded: EncodedRow, loser: Loser | None, row: RawRow | None = None) -> list[EncodedItem]:
        """The row's items but those whose key an equal item has."""
        skipped = loser.skipped if loser else ()
        items = [item for position, item in encoded.items if position not in skipped]
        self._result.warnings += encoded.warnings
        self._result.items += len(encoded.items)
        self._result.skipped += len(encoded.items) - len(items)
        if self._comparison and skipped:
            name = NAMELESS if row is None else row_name(self._row_of(row).key)
            for position, item in encoded.items:
                if position in skipped:
                    self._comparison.skip(item, name)
        return items


def _without_lost_key(outcome: Outcome, loser: Loser) -> Outcome:
    if loser.reject is None or isinstance(outcome, RowRejected):
        return outcome
    return RowRejected(*loser.reject)
