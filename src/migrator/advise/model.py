"""What an analysis found, as frozen data: read by the text, the JSON and all that advises on top of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from migrator.source.integrity import Finding
from migrator.source.profile import TableProfile
from migrator.source.schema import Schema, Table

RelationshipKind = Literal["many-to-one", "one-to-one", "self"]


@dataclass(frozen=True, slots=True)
class Relationship:
    """A foreign key as declared. SQLite does not enforce one unless told to, so orphans are counted."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    kind: RelationshipKind
    orphans: int | None = None  #: child rows whose parent is not there; None where it cannot be told
    parent_missing: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TableAnalysis:
    table: Table
    profile: TableProfile | None = None  #: None for shadow tables: their rows are another table's storage

    @property
    def rows(self) -> int | None:
        return self.profile.rows if self.profile else None

    @property
    def error(self) -> str | None:
        return self.table.error or (self.profile.error if self.profile else None)


@dataclass(frozen=True, slots=True)
class Analysis:
    path: str
    size_bytes: int  #: with a WAL that was not checkpointed, of the file it would become
    journal_mode: Literal["wal", "rollback"]
    schema: Schema
    tables: tuple[TableAnalysis, ...]
    relationships: tuple[Relationship, ...]
    integrity: tuple[Finding, ...] | None = None  #: None where it was not checked

    def of_kind(self, *kinds: str) -> tuple[TableAnalysis, ...]:
        return tuple(table for table in self.tables if table.table.kind in kinds)
