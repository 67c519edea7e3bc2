"""How tables hang together, by the foreign keys they declare, and how far the rows keep to it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.advise.model import Relationship, RelationshipKind
from migrator.source.failure import is_about_the_file, message_of, to_source_error
from migrator.source.relation import quote
from migrator.source.schema import ForeignKey, Schema, Table


def find_relationships(connection: Connection, schema: Schema) -> tuple[Relationship, ...]:
    return tuple(
        _relationship(connection, schema.path, table, key)
        for table in schema.tables
        if table.kind == "table" and not table.error
        for key in table.foreign_keys
    )


def _relationship(connection: Connection, path: str, table: Table, key: ForeignKey) -> Relationship:
    orphans, error = None, None
    if not key.parent_missing and len(key.columns) != len(key.parent_columns):
        error = f"{key.table} has no primary key of {len(key.columns)} column(s) to refer to"
    else:
        try:
            orphans = int(connection.exec_driver_sql(_orphans_sql(table, key)).scalar_one())
        except DBAPIError as failure:
            if is_about_the_file(failure):
                raise to_source_error(failure, path) from failure
            error = message_of(failure)
    return Relationship(
        child=table.name,
        columns=key.columns,
        parent=key.table,
        parent_columns=key.parent_columns,
        kind=_kind(table, key),
        orphans=orphans,
        parent_missing=key.parent_missing,
        error=error,
    )


def _kind(table: Table, key: ForeignKey) -> RelationshipKind:
    if table.name.lower() == key.table.lower():
        return "self"
    unique = [index.columns for index in table.indexes if index.unique and not index.partial]
    keys = [columns for columns in (table.primary_key, *unique) if columns]
    return "one-to-one" if any(set(columns) <= set(key.columns) for columns in keys) else "many-to-one"


def _orphans_sql(table: Table, key: ForeignKey) -> str:
    condition = orphans_condition(key.columns, key.table, key.parent_columns, parent_missing=key.parent_missing)
    return f"SELECT count(*) FROM {quote(table.name)} AS src WHERE {condition}"


def orphans_condition(
    columns: Sequence[str], parent: str, parent_columns: Sequence[str], *, parent_missing: bool
) -> str:
    """Rows of `src` that name a parent which is not there; a NULL in the key names none."""
    children = [f"src.{quote(name)}" for name in columns]
    named = " AND ".join(f"{column} IS NOT NULL" for column in children)
    if parent_missing:
        return named
    parents = [f"up.{quote(name)}" for name in parent_columns]
    # A NULL among the parents would make every NOT IN unknown. The list is built once, with or without an index.
    known = " AND ".join(f"{column} IS NOT NULL" for column in parents)
    return (
        f"{named} AND ({', '.join(children)}) NOT IN"
        f" (SELECT {', '.join(parents)} FROM {quote(parent)} AS up WHERE {known})"
    )
