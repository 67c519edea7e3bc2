"""What an analysis found, as frozen data: read by the text, the JSON and all that advises on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from migrator.advise.design import Design
from migrator.mapping.model import Attributes
from migrator.source.integrity import Finding
from migrator.source.profile import TableProfile
from migrator.source.schema import Schema, Table
from migrator.source.text import SqliteValue
from migrator.target.forecast import Forecast

RelationshipKind = Literal["many-to-one", "one-to-one", "self"]
#: a row by its source key: (column, value) for each column of it, or the rowid
RowKey = tuple[tuple[str, SqliteValue], ...]
#: loses: rows or values would be lost or refused; changes: they would arrive as something else, or be compared
#: differently; watch: nothing is lost, but a design has to know
Severity = Literal["loses", "changes", "watch"]


class Relationship(Struct, frozen=True):
    """A foreign key as declared. SQLite does not enforce one unless told to, so orphans are counted."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    kind: RelationshipKind
    orphans: int | None = None  #: child rows whose parent is not there; None where it cannot be told
    parent_missing: bool = False
    error: str | None = None


class Hazard(Struct, frozen=True):
    """What a plain copy into DynamoDB would lose, change or stumble over. Its codes: `advise.hazards.HAZARDS`."""

    code: str
    severity: Severity
    table: str  #: "" where it is about the whole file
    columns: tuple[str, ...]
    message: str  #: what was found, with its numbers; the table and columns are not repeated
    count: int  #: rows; for a hazard of names or tables 1
    examples: tuple[RowKey, ...]  #: up to five of the rows
    way_out: str


class ItemSizes(Struct, frozen=True):
    """Rows as items with the columns for attributes: what DynamoDB would count, but for keys made from templates."""

    mean_bytes: float
    p99_bytes: int  #: of a hundred items, 99 are no larger; the upper end of its histogram class
    largest_bytes: int
    largest_row: RowKey
    histogram: tuple[tuple[int, int], ...]  #: (upper end in bytes, a power of two; items), smallest first, none empty


class TableAnalysis(Struct, frozen=True):
    table: Table
    profile: TableProfile | None = None  #: None for shadow tables: their rows are another table's storage
    sizes: ItemSizes | None = None  #: None for views, and where there are no rows or they cannot be read

    @property
    def rows(self) -> int | None:
        return self.profile.rows if self.profile else None

    @property
    def error(self) -> str | None:
        return self.table.error or (self.profile.error if self.profile else None)


class SampleItem(Struct, frozen=True):
    """An item of the suggested design, of one of the source's rows."""

    entity: str
    attributes: Attributes


class Analysis(Struct, frozen=True):
    path: str
    size_bytes: int  #: with a WAL that was not checkpointed, of the file it would become
    journal_mode: Literal["wal", "rollback"]
    schema: Schema
    tables: tuple[TableAnalysis, ...]
    relationships: tuple[Relationship, ...]
    integrity: tuple[Finding, ...] | None = None  #: None where it was not checked
    hazards: tuple[Hazard, ...] = ()  #: the gravest first, then in the order of the tables
    design: Design | None = None
    samples: Mapping[str, tuple[SampleItem, ...]] = field(default_factory=dict)  #: table of the design -> a few items
    forecast: Forecast | None = None

    def of_kind(self, *kinds: str) -> tuple[TableAnalysis, ...]:
        return tuple(table for table in self.tables if table.table.kind in kinds)
