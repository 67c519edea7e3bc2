"""The plan's mappings fitted to its source files: once for each schema, however many files have it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct, field
from sqlalchemy.engine import Connection

from migrator.errors import DocumentError, Problem
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import AccessPattern, Entity, SourceSpec
from migrator.mapping.reads import to_read
from migrator.run.plan import Plan
from migrator.source.connection import connect
from migrator.source.read import Read
from migrator.source.reflection import reflect_schema
from migrator.source.relation import Relation
from migrator.source.schema import Schema
from migrator.source.snapshot import Snapshot

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid"


class Fit(Struct, frozen=True):
    """The mappings in the names of one schema."""

    schema: Schema
    entities: dict[str, Entity] = field(default_factory=dict)
    reads: dict[str, Read] = field(default_factory=dict)
    patterns: dict[str, tuple[AccessPattern, ...]] = field(default_factory=dict)


class FittedFile(Struct, frozen=True):
    snapshot: Snapshot
    context: RenderContext
    fit: Fit


class Fitter:
    """Fits the plan's mappings to one file after the other. `named`: messages name the file that does not fit."""

    def __init__(self, plan: Plan, now_s: int, *, named: bool = True) -> None:
        self._plan = plan
        self._now_s = now_s
        self._named = named
        self._known: dict[bytes, Fit | Sequence[Problem]] = {}  #: by digests of schemas

    def fit(self, snapshot: Snapshot) -> FittedFile:
        """Raises DocumentError with all that does not fit, and SourceError."""
        context = context_of(self._plan, snapshot.path, self._now_s)
        with connect(snapshot) as connection:
            schema = _digest(connection)
            if schema not in self._known:
                self._known[schema] = self._fitted(snapshot, connection)
        found = self._known[schema]
        if not isinstance(found, Fit):
            raise DocumentError(found)
        return FittedFile(snapshot, context, found)

    def _fitted(self, snapshot: Snapshot, connection: Connection) -> Fit | Sequence[Problem]:
        schema = reflect_schema(connection, snapshot.path if self._named else "")
        fit = Fit(schema)
        problems: list[Problem] = []
        for mapping in self._plan.mappings:
            try:
                fitted = bind(mapping, schema, connection, self._plan.source_groups)
            except DocumentError as error:
                problems.extend(error.problems)
                continue
            for entity in fitted.entities:
                fit.entities[entity.name] = entity
                fit.reads[entity.name] = to_read(entity, partial(_relation, schema, connection))
                fit.patterns[entity.name] = tuple(p for p in fitted.access_patterns if p.entity == entity.name)
        return problems or fit


def _digest(connection: Connection) -> bytes:
    """Of all that a schema is made of, but for where its tables lie in the file."""
    encoding = connection.exec_driver_sql("PRAGMA encoding").scalar_one()
    parts = [tuple(part) for part in connection.exec_driver_sql(_SCHEMA)]
    return hashlib.sha256(repr((encoding, parts)).encode(errors="surrogatepass")).digest()


def _relation(schema: Schema, connection: Connection, spec: SourceSpec) -> Relation:
    return relation_of(spec, schema, connection)


def context_of(plan: Plan, path: str, now_s: int) -> RenderContext:
    """What the file's path says to its items. Raises DocumentError where `source_pattern` does not find it."""
    named = Path(path)
    if plan.source_pattern is None:
        return RenderContext(now_s, named.name, named.stem)
    found = re.search(plan.source_pattern, path)
    groups = found.groupdict() if found else {}
    empty = [name for name, text in groups.items() if text is None]
    if found is None or empty:
        what = f'its group "{empty[0]}" finds nothing' if empty else "it is not found"
        hint = f"pattern: {plan.source_pattern}"
        raise DocumentError([Problem(plan.file, "source_pattern", f"{what} in {path}", (hint,))])
    return RenderContext(now_s, named.name, named.stem, tuple(groups.items()))


# ---- schemas that differ, and still fit

#: More kinds of schema than this are counted, not described.
_KINDS_TOLD = 5


def schema_lines(files: Sequence[FittedFile]) -> list[str]:
    """Which schemas the files have, where it is not one: the most frequent first, the others by what they have not."""
    by_schema: dict[int, list[FittedFile]] = {}
    for file in files:
        by_schema.setdefault(id(file.fit), []).append(file)
    kinds = sorted(by_schema.values(), key=len, reverse=True)
    if len(kinds) < 2:
        return []
    usual, *others = kinds
    lines = [f"{len(usual)} files have one schema, as {usual[0].snapshot.path}"]
    for kind in others[:_KINDS_TOLD]:
        count = f"{len(kind)} file{'s have' if len(kind) > 1 else ' has'} another"
        differs = "; ".join(_differences(usual[0].fit.schema, kind[0].fit.schema)) or "the same tables and columns"
        lines.append(f"{count}, as {kind[0].snapshot.path}: {differs}")
    if len(others) > _KINDS_TOLD:
        rest = others[_KINDS_TOLD:]
        lines.append(f"{sum(map(len, rest))} files have one of {len(rest)} more")
    return lines


def _differences(usual: Schema, other: Schema) -> Iterable[str]:
    names = [table.name for table in usual.tables], [table.name for table in other.tables]
    yield from _lacking("table", *names)
    for table in usual.tables:
        there = other.table(table.name)
        if there is None:
            continue
        columns = [c.name for c in table.columns], [c.name for c in there.columns]
        if columns[0] != columns[1]:
            yield from _lacking(f"column of {table.name}", *columns) or ("its columns stand in another order",)
        elif [c.declared_type for c in table.columns] != [c.declared_type for c in there.columns]:
            yield f"other column types in {table.name}"


def _lacking(what: str, usual: Sequence[str], other: Sequence[str]) -> list[str]:
    missing = [name for name in usual if name not in other]
    more = [name for name in other if name not in usual]
    return [f"no {what} {', '.join(missing)}"] * bool(missing) + [f"a {what} {', '.join(more)} more"] * bool(more)
