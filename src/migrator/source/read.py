"""What to read of a source: which columns, which conditions, which child rows, and which part."""

from __future__ import annotations

from msgspec import Struct

from migrator.source.relation import Relation
from migrator.source.text import SqliteValue


class ChildRead(Struct, frozen=True):
    """Child rows of each parent: what to read and how they match."""

    relation: Relation
    match: tuple[tuple[str, str], ...]  #: (child column, parent column)
    columns: tuple[str, ...]
    where: str | None = None
    order_by: str | None = None
    children: tuple[ChildRead, ...] = ()
    rowid: bool = False  #: read it too


class Read(Struct, frozen=True):
    """Rows of a source: which columns, which conditions to evaluate beside them, which children."""

    relation: Relation
    columns: tuple[str, ...]
    where: str | None = None
    conditions: tuple[str, ...] = ()
    children: tuple[ChildRead, ...] = ()


class Range(Struct, frozen=True):
    """Part of a relation, by rowid or key: low is excluded, high included, None is open."""

    low: tuple[SqliteValue, ...] | None = None
    high: tuple[SqliteValue, ...] | None = None


WHOLE = Range()
