"""Keys that tell rows apart by construction: which columns, through which filters, and why.

A filter is only put where the data needs it: `token` where values of several kinds or a # in a text would make two keys
meet, `pad` where text would sort numbers wrongly, `sha256` where a key would be longer than DynamoDB takes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from migrator.advise.shown import count_of
from migrator.advise.suggest_facts import ColumnFacts, TableFacts
from migrator.limits import PARTITION_KEY_BYTES, SORT_KEY_BYTES

ROWID = "@rowid"
_HASHED_BYTES = 64
_NUMBER_BYTES = 24
_WORD_CHARACTERS = 60
#: Of SQLite's largest integer; and what a sort key leaves free for rows to come, a hundred times as many.
_INTEGER_DIGITS, _SPARE_DIGITS = 19, 2


class Part(Struct, frozen=True):
    """A placeholder: a column, or the rowid, and the filters it goes through."""

    column: str
    filters: tuple[str, ...] = ()
    width_bytes: int = _NUMBER_BYTES  #: at most, of what it gives

    def __str__(self) -> str:
        return "{" + "|".join((self.column if self.column == ROWID else column_text(self.column), *self.filters)) + "}"

    def of(self, column: str) -> Part:
        """The same for a column that refers to this one."""
        return replace(self, column=column)


def column_text(name: str) -> str:
    """A column's name as templates and attributes take it.

    >>> column_text("total"), column_text("a|b")
    ('total', '"a|b"')
    """
    return name if re.fullmatch(r"\w+", name) else '"' + name.replace('"', '""') + '"'


def joined(word: str, parts: Iterable[Part]) -> str:
    """`WORD#{a}#{b}`; a word alone where there are no parts."""
    return "#".join((word, *map(str, parts)))


class Names(Struct):
    """Gives each thing a name of its own."""

    taken: set[str] = field(default_factory=set)

    def new(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name


def key_word(name: str) -> str:
    """What a table's keys begin with: no # in it, so that no two words can be mistaken for each other.

    >>> key_word("InvoiceLine"), key_word("x;drop"), key_word("")
    ('INVOICE_LINE', 'X_DROP', 'TABLE')
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"\W", "_", split).upper()[:_WORD_CHARACTERS] or "TABLE"


# ---- the key of a table's rows


class RowKey(Struct, frozen=True):
    """What tells a table's rows apart: its primary key, else the rowid, else all its columns."""

    columns: tuple[str, ...]  #: () for the rowid
    by: str  #: primary key, rowid or all columns
    reason: str

    @property
    def is_primary(self) -> bool:
        return self.by == "primary key"


def row_key(facts: TableFacts) -> RowKey:
    table = facts.table
    columns = [facts.column(name) for name in table.primary_key]
    named = ", ".join(table.primary_key)
    if columns and not any(column.nulls or column.error for column in columns):
        return RowKey(table.primary_key, "primary key", f"keyed by its primary key ({named})")
    nulls = max((column.nulls for column in columns), default=0)
    rows = count_of(facts.rows, "row")
    why = f"NULL in the primary key ({named}) of {nulls:,} of {rows}" if columns else "no primary key"
    if table.rowid:
        return RowKey((), "rowid", f"keyed by the rowid: {why}")
    readable = tuple(column.name for column in facts.columns if not column.error)
    return RowKey(readable, "all columns", f"keyed by all columns, since it has no rowid either: {why}")


def key_parts(facts: TableFacts, key: RowKey, *, sort: bool, word: str) -> tuple[Part, ...]:
    """The placeholders of the row key."""
    if key.by == "rowid":
        return (_rowid_part(facts, sort),)
    parts = column_parts([facts.column(name) for name in key.columns], sort=sort, word=word)
    if key.is_primary:
        return parts
    # %0 is no token, so NULL is told apart from every text.
    return tuple(replace(part, filters=(*_with_token(part.filters), 'default("%0")')) for part in parts)


def _rowid_part(facts: TableFacts, sort: bool) -> Part:
    return Part(ROWID, _padding(facts.low_rowid, facts.high_rowid) if sort else ())


def _padding(low: int | None, high: int | None) -> tuple[str, ...]:
    """Zeros up to the width of the data, with room for it to grow: a longer number would be rejected later."""
    if low is None or high is None or low < 0:
        return ()
    return (f"pad({min(len(str(high)) + _SPARE_DIGITS, _INTEGER_DIGITS)})",)


def _with_token(filters: tuple[str, ...]) -> tuple[str, ...]:
    return filters if "token" in filters else ("token", *(f for f in filters if not f.startswith("pad")))


def column_parts(
    columns: Sequence[ColumnFacts], *, sort: bool, word: str, folded: Collection[str] = ()
) -> tuple[Part, ...]:
    """Placeholders that can be told apart again once they are joined by #; `folded` columns in lower case."""
    parts = [_column_part(c, sort=sort, last=n == len(columns) - 1) for n, c in enumerate(columns)]
    parts = [replace(p, filters=("lower", *p.filters)) if p.column in folded else p for p in parts]
    limit = SORT_KEY_BYTES if sort else PARTITION_KEY_BYTES
    while len(word.encode()) + sum(1 + part.width_bytes for part in parts) > limit:
        longest = max(range(len(parts)), key=lambda n: parts[n].width_bytes)
        if parts[longest].width_bytes <= _HASHED_BYTES:
            break  # some thirty columns: each is short, and all of them are needed
        parts[longest] = _hashed(parts[longest])
    return tuple(parts)


def _hashed(part: Part) -> Part:
    return replace(part, filters=(*part.filters, "sha256"), width_bytes=_HASHED_BYTES)


def _column_part(column: ColumnFacts, *, sort: bool, last: bool) -> Part:
    match column.kind:
        case "integer":
            return Part(column.name, _padding(column.low, column.high) if sort else ())
        case "text" if last or not column.marked:
            return Part(column.name, (), column.longest_bytes)
        case "none":
            return Part(column.name)
        case _:
            return Part(column.name, ("token",), max(_NUMBER_BYTES, 3 * column.longest_bytes + 2))


def part_notes(columns: Sequence[ColumnFacts], parts: Sequence[Part], *, sort: bool = False) -> list[str]:
    """Why there are filters in a key, or why there are none."""
    return [note for c, p in zip(columns, parts, strict=False) for note in _notes(c, p, sort)]


def _notes(column: ColumnFacts, part: Part, sort: bool) -> Iterator[str]:
    for call in part.filters:
        name = call.partition("(")[0]
        if name == "pad":
            yield f"{column.name} padded to {call[4:-1]} digits (largest {column.high}), to sort as a number"
        elif name == "token" and column.kind == "mixed":
            yield f"{column.name} through token, since it holds {_classes(column)}"
        elif name == "token" and column.marked:
            values = count_of(column.marked, "value")
            yield f"{column.name} through token: # joins the parts, and is, or %, in {values}"
        elif name == "sha256":
            yield f"{column.name} hashed: its longest value has {column.longest_bytes:,} bytes, too many for a key"
        elif name == "lower":
            yield f"{column.name} in lower case: it is unique without regard to case"
    if sort and column.kind == "integer" and not part.filters:
        yield f"{column.name} not padded: it goes down to {column.low}, and zeros would sort negative numbers wrongly"


def _classes(column: ColumnFacts) -> str:
    counts = {
        "INTEGER": column.integers,
        "REAL": column.reals,
        "TEXT": column.texts,
        "TEXT that is not UTF-8": column.invalid,
        "BLOB": column.blobs,
    }
    found = [f"{count:,} {name}" for name, count in counts.items() if count]
    return ", ".join(found) + (": 1, '1' and x'31' stay apart" if len(found) > 1 else "")
