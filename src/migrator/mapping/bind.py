"""Fit a mapping to a source's schema: exact names, type hints, `columns: rest`; and find what does not fit.

SQLite folds the case of names, DynamoDB does not, and a misspelt name is found here, before a row is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from msgspec import Struct, field
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from migrator.errors import DocumentError, Problem, known_names
from migrator.mapping.bind_patterns import bind_pattern
from migrator.mapping.hints import hint_of
from migrator.mapping.model import (
    AccessPattern,
    Children,
    ColumnValue,
    Entity,
    Expression,
    ItemSpec,
    MapOf,
    Mapping,
    Rule,
    SourceSpec,
    Template,
)
from migrator.mapping.reads import column_names
from migrator.mapping.templates import unknown_name
from migrator.source.compiles import Clause, clause_problem, missing_column, query_problem
from migrator.source.relation import Relation, as_subquery, query_relation, table_relation
from migrator.source.schema import Schema
from migrator.yamlfile import join

_CLAUSE_NAMES: dict[Clause, str] = {"where": "condition", "condition": "condition", "order_by": "order"}


def bind(mapping: Mapping, schema: Schema, connection: Connection, groups: Sequence[str] = ()) -> Mapping:
    """The mapping with the source's own names. Raises DocumentError with all that does not fit.

    `groups` are the names that the plan's `source_pattern` gives to templates.
    """
    binder = _Binder(mapping.file, schema, connection, groups, [])
    entities = tuple(binder.entity(entity, f"entities.{entity.name}") for entity in mapping.entities)
    patterns = tuple(binder.pattern(pattern) for pattern in mapping.access_patterns)
    if binder.problems:
        raise DocumentError(binder.problems)
    return replace(mapping, entities=entities, access_patterns=patterns)


def relation_of(spec: SourceSpec, schema: Schema, connection: Connection) -> Relation:
    """The relation that a source names.

    Raises LookupError where there is no such table, sqlalchemy.exc.DBAPIError where SQLite refuses the query.
    """
    if spec.query is not None:
        return query_relation(connection, spec.query, spec.key)
    table = schema.table(spec.table or "")
    if table is None:
        raise LookupError(spec.table)
    relation = table_relation(table)
    if not spec.key or spec.key == relation.key:
        return relation
    return replace(relation, key=spec.key, key_walks=False)


class _Binder(Struct, frozen=True):
    file: str
    schema: Schema
    connection: Connection
    groups: Sequence[str]
    problems: list[Problem]
    relations: dict[str, Relation] = field(default_factory=dict)  #: of the entities that have one, by name

    def note(self, path: str, message: str, *hints: str) -> None:
        self.problems.append(Problem(self.file, path, message, hints))

    # ---- sources

    def source(self, spec: SourceSpec, path: str) -> tuple[SourceSpec, Relation] | None:
        """The spec in exact names with its relation; None, and a problem, where there is none."""
        relation = self._query(spec, path) if spec.query is not None else self._table(spec, path)
        if relation is None:
            return None
        key = tuple(self.column(name, relation, join(path, "key")) for name in spec.key)
        bound = SourceSpec(relation.name or None, spec.query, key)
        return bound, relation_of(bound, self.schema, self.connection)

    def _query(self, spec: SourceSpec, path: str) -> Relation | None:
        query = f"SELECT * FROM {as_subquery(spec.query or '')}"
        if problem := query_problem(self.connection, query):
            self.note(join(path, "query"), f"SQLite refuses the query: {problem}")
            return None
        return relation_of(spec, self.schema, self.connection)

    def _table(self, spec: SourceSpec, path: str) -> Relation | None:
        name = spec.table or ""
        table = self.schema.table(name)
        if table is None:
            names = [t.name for t in self.schema.tables if t.kind != "shadow"]
            message = f'table "{name}" is not in {PurePath(self.schema.path).name or "the source"}'
            self.note(path, message, known_names("tables", names, name))
        elif table.error:
            self.note(path, f'{table.kind} "{name}" cannot be read: {table.error}')
        else:
            return table_relation(table)
        return None

    # ---- names

    def column(self, name: str, relation: Relation, path: str) -> str:
        """The exact name of a column."""
        column = relation.column(name)
        if column is not None:
            return column.name
        hints = [known_names("columns", [c.name for c in relation.columns], name)]
        if relation.rowid and name.lower() in ("rowid", "oid", "_rowid_"):
            hints.append("the rowid is written @rowid")
        self.note(path, f'column "{name}" is not in {relation.label}', *hints)
        return name

    def clause(self, text: str | None, clause: Clause, relation: Relation, path: str) -> None:
        """Note what SQLite has against a condition or an order."""
        problem = clause_problem(self.connection, relation, clause, text) if text else None
        if problem is None:
            return
        name = missing_column(problem)
        if name is not None and relation.column(name) is None:
            self.column(name, relation, path)
        else:
            self.note(path, f"SQLite refuses the {_CLAUSE_NAMES[clause]}: {problem}")

    # ---- entities

    def entity(self, entity: Entity, path: str) -> Entity:
        found = self.source(entity.source, join(path, "source"))
        if found is None:
            return entity
        source, relation = found
        self.relations[entity.name] = relation
        self.clause(entity.where, "where", relation, join(path, "where"))
        excepted = tuple(
            self.column(name, relation, f"{path}.columns.except[{n}]") for n, name in enumerate(entity.except_columns)
        )
        paths = [f"{path}.items[{n}]" for n in range(len(entity.items))] if entity.listed else [path]
        items = [self.item(item, relation, at) for item, at in zip(entity.items, paths, strict=True)]
        if entity.columns == "rest":
            items = [self.rest(item, relation, excepted, at) for item, at in zip(items, paths, strict=True)]
        return replace(
            entity,
            source=source,
            items=tuple(items),
            except_columns=excepted,
            rules=tuple(self.rule(rule, relation, f"{path}.rules.{rule.column}") for rule in entity.rules),
        )

    def rule(self, rule: Rule, relation: Relation, path: str) -> Rule:
        return replace(rule, column=self.column(rule.column, relation, path))

    def item(self, item: ItemSpec, relation: Relation, path: str) -> ItemSpec:
        self.clause(item.where, "condition", relation, join(path, "where"))
        return replace(
            item,
            key=tuple((name, self.template(t, relation, f"{path}.key.{name}")) for name, t in item.key),
            attributes=self.attributes(item.attributes, relation, join(path, "attributes")),
        )

    def rest(self, item: ItemSpec, relation: Relation, excepted: Iterable[str], path: str) -> ItemSpec:
        """Fill in the columns that nothing in this item uses, each under its own name."""
        used = {*column_names(_expressions(item)), *excepted}
        keys, taken = dict(item.key), dict(item.attributes)
        rest: list[tuple[str, ColumnValue]] = []
        for column in relation.columns:
            if column.name in used:
                continue
            if column.name in keys or column.name in taken or not column.name:
                self._clash(column.name, "a key" if column.name in keys else "an attribute", path)
            else:
                rest.append((column.name, ColumnValue(column.name, hint=hint_of(column.declared_type))))
        return replace(item, rest=tuple(rest))

    def _clash(self, name: str, what: str, path: str) -> None:
        message = f'column "{name}" has the name of {what} that is not built from it'
        if not name:
            message = 'column "" cannot be copied under its own name: DynamoDB refuses it'
        plain = re.fullmatch(r"\w+", name)
        column, member = (name, name) if plain else (f"'\"{name}\"'", f'"{name}"')
        self.note(
            join(path, "columns"),
            message,
            f"map it under another name (attributes: {{other: {column}}})"
            f" or leave it out (columns: {{except: [{member}]}})",
        )

    def pattern(self, pattern: AccessPattern) -> AccessPattern:
        relation = self.relations.get(pattern.entity)
        if relation is None:
            return pattern
        path = f"access_patterns.{pattern.name}"
        bound, misfits = bind_pattern(pattern, relation, self.connection, self.groups)
        for misfit in misfits:
            self.note(join(path, misfit.at), misfit.message, *misfit.hints)
        return bound

    # ---- expressions

    def attributes(
        self, attributes: Iterable[tuple[str, Expression]], relation: Relation, path: str
    ) -> tuple[tuple[str, Expression], ...]:
        return tuple((name, self.expression(value, relation, join(path, name))) for name, value in attributes)

    def expression(self, value: Expression, relation: Relation, path: str) -> Expression:
        match value:
            case ColumnValue():
                return self.column_value(value, relation, path, hinted=True)
            case Template():
                return self.template(value, relation, join(path, "template"))
            case MapOf():
                return MapOf(self.attributes(value.attributes, relation, join(path, "map")))
            case Children():
                return self.children(value, relation, join(path, value.shape))
            case _:
                return value

    def template(self, template: Template, relation: Relation, path: str) -> Template:
        parts = tuple(
            part if isinstance(part, str) else self.column_value(part, relation, path) for part in template.parts
        )
        return replace(template, parts=parts)

    def column_value(self, value: ColumnValue, relation: Relation, path: str, *, hinted: bool = False) -> ColumnValue:
        if value.builtin:
            if value.column == "rowid" and relation.rowid is None:
                self.note(path, f"@rowid: {relation.label} has no rowid")
            if unknown := unknown_name(value, self.groups):
                self.note(path, *unknown)
            return value
        name = self.column(value.column, relation, path)
        column = relation.column(name)
        hint = hint_of(column.declared_type) if hinted and column and not value.filters else ""
        return replace(value, column=name, hint=hint)

    def children(self, children: Children, parent: Relation, path: str) -> Children:
        found = self.source(children.source, join(path, "source"))
        if found is None:
            return children
        source, own = found
        self.clause(children.where, "where", own, join(path, "where"))
        self.clause(children.order_by, "order_by", own, join(path, "order_by"))
        value, name, match = children.value, children.name, join(path, "match")
        return replace(
            children,
            source=source,
            match=tuple(
                (self.column(c, own, join(match, c)), self.column(p, parent, join(match, c))) for c, p in children.match
            ),
            attributes=self.attributes(children.attributes, own, join(path, "attributes")),
            value=self.expression(value, own, join(path, "value")) if value else None,
            name=self.column_value(name, own, join(path, "name")) if name else None,
        )


def _expressions(item: ItemSpec) -> Iterator[Expression]:
    yield from (template for _, template in item.key)
    yield from (value for _, value in item.attributes)
