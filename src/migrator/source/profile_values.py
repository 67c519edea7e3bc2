"""What a column's values look like: the common ones, their formats, how evenly rows spread over them.

It takes Python for each value, so big tables are looked at by a sample: rows chosen by the hash of their rowid, or
of their number where there is no rowid. The same file gives the same sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import blake2b

from msgspec import Struct, field
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from migrator.source.profile_model import ColumnProfile, Skew
from migrator.source.profile_scan import from_rows
from migrator.source.relation import quote
from migrator.source.schema import Table
from migrator.source.text import SqliteValue

#: the name of a value's format, or None
FormatOf = Callable[[SqliteValue], str | None]

_ROWS_AT_ONCE = 2000
_COMMON_SHOWN = 5
_LONGEST_COUNTED = 64
#: values counted for a column; when there are twice as many, the rarer half is forgotten
_COUNTED = 20_000
# Fibonacci hashing of the lower 32 bits; the multiplier is below 2^31, so that the product stays an INTEGER.
_MULTIPLIER, _BITS = 1_640_531_527, 0xFFFF_FFFF


class Sample(Struct, frozen=True):
    rows: int  #: of the table
    wanted: int  #: about so many are looked at

    @property
    def is_all(self) -> bool:
        return self.wanted >= self.rows


def look_at_values(
    connection: Connection, table: Table, profiles: Sequence[ColumnProfile], sample: Sample, format_of: FormatOf
) -> tuple[tuple[ColumnProfile, ...], int]:
    """The profiles completed, and how many rows were looked at. Columns that cannot be read stay as they are."""
    readable = [profile for profile in profiles if not profile.error]
    seen = {profile.name: _Values(format_of) for profile in readable}
    rows = 0
    for chunk in _chunks(connection, table, [profile.name for profile in readable], sample):
        rows += len(chunk)
        for profile, values in zip(readable, zip(*chunk, strict=True), strict=True):
            seen[profile.name].add(values)
    return tuple(seen[p.name].complete(p) if p.name in seen else p for p in profiles), rows


def _chunks(
    connection: Connection, table: Table, names: Sequence[str], sample: Sample
) -> Iterator[Sequence[Sequence[SqliteValue]]]:
    if not names:
        return
    columns = ", ".join(f"src.{quote(name)} AS c{n}" for n, name in enumerate(names))
    with closing(connection.exec_driver_sql(_select(table, columns, len(names), sample))) as result:
        yield from result.partitions(_ROWS_AT_ONCE)


def _select(table: Table, columns: str, width: int, sample: Sample) -> str:
    if sample.is_all:
        return f"SELECT {columns} {from_rows(table)}"
    if table.rowid:
        return f"SELECT {columns} {from_rows(table)} WHERE {_is_chosen(f'src.{quote(table.rowid)}', sample)}"
    numbered = f"SELECT {columns}, row_number() OVER () AS number {from_rows(table)}"
    chosen = ", ".join(f"c{n}" for n in range(width))
    return f"SELECT {chosen} FROM ({numbered}) WHERE {_is_chosen('number', sample)}"


def _is_chosen(number: str, sample: Sample) -> str:
    """By hash: every so many-th row would see one side of what repeats."""
    return f"(({number} & {_BITS}) * {_MULTIPLIER}) & {_BITS} < {(_BITS + 1) * sample.wanted // sample.rows}"


class _Long(bytes):
    """A long value by its digest: counted, but too long to keep or to show."""


class _Values(Struct):
    """What was seen of one column."""

    format_of: FormatOf
    present: int = 0
    counts: Counter[SqliteValue] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)

    def add(self, values: Iterable[SqliteValue]) -> None:
        chunk = Counter(values)
        chunk.pop(None, None)
        for value, times in chunk.items():
            self.present += times
            name = self.format_of(value)
            if name:
                self.formats[name] += times
            self.counts[_kept(value)] += times
        if len(self.counts) > 2 * _COUNTED:
            self.counts = Counter(dict(self.counts.most_common(_COUNTED)))

    def complete(self, profile: ColumnProfile) -> ColumnProfile:
        if not self.present:
            return profile
        return replace(
            profile,
            common=tuple(self._common()),
            formats=tuple((name, times / self.present) for name, times in self.formats.most_common()),
            skew=self._skew(profile.distinct),
        )

    def _common(self) -> Iterator[tuple[SqliteValue, float]]:
        for value, times in self.counts.most_common(_COMMON_SHOWN):
            if times > 1 and not isinstance(value, _Long):
                yield value, times / self.present

    def _skew(self, distinct: int) -> Skew:
        ((_, biggest),) = self.counts.most_common(1)
        # Two rows drawn at random have one value in this share of all draws; an unbiased estimate also from a sample.
        pairs = sum(times * (times - 1) for times in self.counts.values())
        all_pairs = self.present * (self.present - 1)
        effective = min(all_pairs / pairs, distinct) if pairs else float(distinct)
        return Skew(biggest / self.present, effective)


def _kept(value: SqliteValue) -> SqliteValue:
    if isinstance(value, str | bytes) and len(value) > _LONGEST_COUNTED:
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return _Long(blake2b(raw, digest_size=16).digest())
    return value
