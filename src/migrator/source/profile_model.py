"""What a profile says of a table and its columns, as frozen data."""

from __future__ import annotations

from msgspec import Struct

from migrator.source.text import SqliteValue

STORAGE_CLASSES = ("INTEGER", "REAL", "TEXT", "BLOB", "NULL")


class Skew(Struct, frozen=True):
    """How evenly rows spread over a column's values, NULL left out: what they would do as partition keys."""

    biggest_share: float  #: of the rows, those that have the most common value
    #: as many values of equal size would spread the rows alike (inverse Simpson); at most `distinct`
    effective_values: float


class ColumnProfile(Struct, frozen=True):
    name: str
    #: how many values of each class, in the order of STORAGE_CLASSES
    counts: tuple[int, ...] = (0, 0, 0, 0, 0)
    distinct: int = 0  #: without NULL; 1 and 1.0 are one, '1' is another, 'a' and 'A' are two
    distinct_error: float = 0.0  #: 95 of 100 estimates are no further off than this share of `distinct`; 0 is exact
    minimum: SqliteValue = None  #: in SQLite's order: numbers, text, BLOBs
    maximum: SqliteValue = None
    longest_bytes: int = 0  #: of TEXT (as UTF-8) and BLOB
    invalid_utf8: int = 0
    with_nul: int = 0  #: texts that hold a NUL, where many programs stop reading
    empty: int = 0  #: '' and x''
    error: str | None = None  #: why it cannot be read
    # From here on of the rows looked at, which TableProfile.sampled_rows counts; shares are of what is not NULL there.
    common: tuple[tuple[SqliteValue, float], ...] = ()  #: values that repeat and their shares, the most common first
    formats: tuple[tuple[str, float], ...] = ()  #: names of the caller's formats and their shares, the largest first
    skew: Skew | None = None  #: None where all is NULL

    @property
    def storage_classes(self) -> dict[str, int]:
        """Only the classes that occur."""
        return {name: count for name, count in zip(STORAGE_CLASSES, self.counts, strict=True) if count}

    @property
    def nulls(self) -> int:
        return self.counts[-1]


class TableProfile(Struct, frozen=True):
    table: str
    rows: int | None  #: None where it cannot be read
    columns: tuple[ColumnProfile, ...] = ()
    error: str | None = None
    sampled_rows: int | None = None  #: so many rows gave common values, formats and skew; None: all did

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)
