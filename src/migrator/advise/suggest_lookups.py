"""Ways to look rows up that the table itself does not answer: unique columns, and what rows refer to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from migrator.advise.shown import count_of
from migrator.advise.suggest_facts import ColumnFacts, TableFacts
from migrator.advise.suggest_source import Source, foreign_keys, lookup_columns
from migrator.source.schema import ForeignKey


class Lookup(Struct, frozen=True):
    """Columns that an index is to find rows by."""

    columns: tuple[ColumnFacts, ...]
    reference: ForeignKey | None
    folded: frozenset[str]  #: columns that are unique without regard to case
    found: int  #: rows that can be asked for
    is_empty: bool  #: there are rows, and one of the columns is NULL in all of them
    why: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def label(self) -> str:
        return ", ".join(self.names)

    def question(self, entity: str) -> str:
        of = f" of {self.reference.table}" if self.reference else ""
        return f"{entity}{of} by {self.label}"


def lookups(source: Source, facts: TableFacts, covered: Collection[frozenset[str]]) -> Iterator[Lookup]:
    """Unique columns first, then foreign keys; but for `covered` sets, which keys answer."""
    references = {frozenset(key.columns): key for key in foreign_keys(facts.table)}
    for names in lookup_columns(facts):
        if frozenset(names) not in covered:
            reference = references.get(frozenset(names))
            found = source.together[facts.table.name, names]
            yield Lookup(
                columns=tuple(map(facts.column, names)),
                reference=reference,
                folded=_folded(facts, names),
                found=found,
                is_empty=facts.rows > 0 and any(not facts.column(name).values for name in names),
                why=_why(source, facts, names, reference) + _sparse(facts, found),
            )


def _folded(facts: TableFacts, names: Sequence[str]) -> frozenset[str]:
    """Beyond ASCII, SQLite and the filter `lower` differ in what case is."""
    indexes = [index for index in facts.table.indexes if index.unique and index.columns == tuple(names)]
    return frozenset(
        column.name
        for index in indexes
        for column, collation in zip(map(facts.column, names), index.collations, strict=True)
        if collation == "NOCASE" and column.kind == "text" and not column.non_ascii
    )


def _why(source: Source, facts: TableFacts, names: tuple[str, ...], reference: ForeignKey | None) -> str:
    if reference is None:
        return f"{', '.join(names)} is unique"
    words = f"{', '.join(names)} refers to {reference.table}"
    if reference.parent_missing:
        return f"{words}, which is not there"
    fan = source.fans.get((facts.table.name, names))
    if fan is None or not fan.rows:
        return words
    strangers = f", {count_of(fan.strangers, 'row')} to nothing" if fan.strangers else ""
    return f"{words} ({count_of(fan.rows, 'row')} to {fan.parents:,}, at most {fan.most:,} to one{strangers})"


def _sparse(facts: TableFacts, found: int) -> str:
    missing = facts.rows - found
    return f"; sparse: {missing:,} of {count_of(facts.rows, 'row')} without a value" if missing else ""
