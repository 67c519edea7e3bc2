"""What the proving pass knows of each rendered item, and how its numbers are told to a person.

Shared by the segments that render, the collisions that are found, and the verification that compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct, field

from migrator.mapping.canonical import describe_key, key_from_text
from migrator.mapping.document import FIXED_ITEMS
from migrator.mapping.model import TableDefinition
from migrator.source.text import InvalidText, SqliteValue

#: The table number of values that a `unique` rule watches: keys that no two rows may give.
UNIQUE_RULES = -1


class ItemRecord(NamedTuple):
    """One rendered item. Rows are ordered by (entity, source_key, segment, row), items by their place in the row."""

    entity: int  #: the entity's place in the run's order; fixed items come first
    segment: int
    row: int  #: position in the segment
    item: int  #: position in the row
    table: int  #: number of the target table: mappings that write to one table share it
    key: str  #: `canonical.key_text`
    digest: bytes  #: `canonical.digest`
    expires: int | None  #: the time-to-live value, epoch seconds
    source_key: tuple[SqliteValue, ...]  #: the row's key values


class Records:
    """Many of them, as columns: nothing is made for each on its way from process to process and to the disk."""

    def __init__(self, records: Iterable[ItemRecord] = ()) -> None:
        self.columns: tuple[list[Any], ...] = tuple([] for _ in ItemRecord._fields)
        for record in records:
            self.append(record)

    def append(self, record: ItemRecord) -> None:
        for column, value in zip(self.columns, record, strict=True):
            column.append(value)

    def extend(self, columns: Iterable[Iterable[Any]]) -> None:
        """With others, by their fields."""
        for own, others in zip(self.columns, columns, strict=True):
            own.extend(others)

    def __iter__(self) -> Iterator[ItemRecord]:
        return map(ItemRecord._make, zip(*self.columns, strict=True))

    def __len__(self) -> int:
        return len(self.columns[0])


class Labels(Struct, frozen=True):
    """Names for the numbers in records. What is missing here is told by its number."""

    entities: Mapping[int, str] = field(default_factory=dict)
    key_columns: Mapping[int, Sequence[str]] = field(default_factory=dict)
    tables: Mapping[int, TableDefinition] = field(default_factory=dict)
    files: Mapping[int, str] = field(default_factory=dict)  #: by segment, where rows come from several

    def entity(self, number: int) -> str:
        """
        >>> Labels({1: "User"}).entity(1), Labels().entity(2)
        ('User', 'entity 2')
        """
        return self.entities.get(number, f"entity {number}")

    def row(self, entity: int, source_key: Sequence[SqliteValue], segment: int) -> str:
        """A source row, by its entity and key.

        >>> Labels({1: "User"}, {1: ("id",)}).row(1, (7,), 5), Labels({0: "items"}).row(0, (), 5)
        ('User (id: 7)', 'a fixed item')
        >>> Labels({1: "User"}, {1: ("id",)}, files={5: "old.sqlite"}).row(1, (7,), 5)
        'User (id: 7) of old.sqlite'
        """
        name = self.entity(entity)
        if not source_key:
            return "a fixed item" if name == FIXED_ITEMS else name
        columns = self.key_columns.get(entity, ())
        named = len(columns) == len(source_key)
        parts = [f"{columns[n]}: {literal(v)}" if named else literal(v) for n, v in enumerate(source_key)]
        file = f" of {self.files[segment]}" if segment in self.files else ""
        return f"{name} ({', '.join(parts)}){file}"

    def key(self, table: int, key: str) -> str:
        """An item's key, for a person."""
        definition = self.tables.get(table)
        return describe_key(key_from_text(key, definition), definition) if definition else key


#: A key may be a BLOB of a megabyte; a message is read on one screen.
LITERAL_LENGTH = 100


def literal(value: SqliteValue) -> str:
    """A SQLite value on one line of text, told apart by storage class, and shortened where it is long.

    >>> [literal(v) for v in (None, 7, "7", b"7", InvalidText(b"\\xff"))]
    ['NULL', '7', '"7"', "x'37'", "text x'ff'"]
    """
    return shortened(literal_in_full(value))


def shortened(text: str, length: int = LITERAL_LENGTH) -> str:
    """
    >>> shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def literal_in_full(value: SqliteValue) -> str:
    match value:
        case None:
            return "NULL"
        case InvalidText():
            return f"text x'{value.hex()}'"
        case bytes():
            return f"x'{value.hex()}'"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)
