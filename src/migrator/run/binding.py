"""A plan's entities fitted to its source files: names made exact, and what the schema proves of their keys."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy.engine import Connection

from migrator.errors import DocumentError, Problem, RowRejected
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.document import FIXED_ITEMS
from migrator.mapping.model import (
    AccessPattern,
    Attributes,
    AttributeValue,
    Entity,
    Mapping,
    SourceSpec,
    TableDefinition,
    Template,
)
from migrator.mapping.reads import to_read
from migrator.mapping.render import RenderContext, render_fixed
from migrator.mapping.templates import disjoint, key_pattern, proves_unique
from migrator.run.plan import Plan
from migrator.run.segment import Unit
from migrator.source.read import Read
from migrator.source.relation import Relation
from migrator.source.schema import Schema, Table, reflect_schema
from migrator.source.snapshot import Snapshot, connect


@dataclass(frozen=True, slots=True)
class BoundEntity:
    """An entity of the run, or a mapping's fixed items, over all source files."""

    number: int
    name: str
    table_number: int
    table: TableDefinition
    source_name: str | None
    #: for each item spec, the templates of the table's key
    keys: tuple[tuple[Template, ...], ...]
    units: tuple[Unit, ...]
    #: the source's schema proves that no two rows give one key
    proved: bool
    patterns: tuple[AccessPattern, ...] = ()

    def fits(self, key: Attributes) -> bool:
        """Whether an item of the table may be this entity's, by its key."""
        texts = [_key_text(key[attribute.name]) for attribute in self.table.key_attributes]
        return any(
            all(key_pattern(t).fullmatch(text) for t, text in zip(templates, texts, strict=True))
            for templates in self.keys
        )


def _key_text(value: AttributeValue) -> str:
    """A key attribute as its template would have written it."""
    (content,) = value.values()
    return content if isinstance(content, str) else bytes(content).decode(errors="replace")


def bind_entities(plan: Plan, names: Sequence[str], snapshots: Sequence[Snapshot], now_s: int) -> list[BoundEntity]:
    """The entities of the run in order: fixed items first, then what the plan or the command line names."""
    selection = _selection(plan, names)
    problems: list[Problem] = []
    sources = [_Source(plan, snapshot, now_s, problems) for snapshot in snapshots]
    numbers = itertools.count()
    tables: dict[str, int] = {}
    bound = []
    for mapping in plan.mappings:
        table_number = tables.setdefault(mapping.table.name, len(tables))
        if mapping.fixed_items and FIXED_ITEMS in selection:
            bound.append(_bind_fixed(mapping, next(numbers), table_number, now_s, problems))
    if problems:
        raise DocumentError(problems)
    found = {e.name: (m, tables[m.table.name], e) for m in plan.mappings for e in m.entities}
    for name in selection:
        if name != FIXED_ITEMS:
            mapping, table_number, entity = found[name]
            bound.append(_bind_entity(entity, mapping, next(numbers), table_number, sources))
    return bound


def _selection(plan: Plan, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in plan.entity_names if not names or name in names)


class _Source:
    """One source file, with the plan's mappings fitted to its schema."""

    def __init__(self, plan: Plan, snapshot: Snapshot, now_s: int, problems: list[Problem]) -> None:
        self.snapshot = snapshot
        path = Path(snapshot.path)
        self.context = RenderContext(now_s, path.name, path.stem)
        self.validate = plan.settings.validate
        self.bound: dict[str, Entity] = {}
        self.reads: dict[str, Read] = {}
        self.patterns: dict[str, tuple[AccessPattern, ...]] = {}
        with connect(snapshot) as connection:
            self.schema = reflect_schema(connection, snapshot.path)
            for mapping in plan.mappings:
                try:
                    fitted = bind(mapping, self.schema, connection)
                except DocumentError as error:
                    problems.extend(error.problems)
                    continue
                for entity in fitted.entities:
                    self.bound[entity.name] = entity
                    self.reads[entity.name] = to_read(entity, partial(self._relation, connection))
                    self.patterns[entity.name] = tuple(p for p in fitted.access_patterns if p.entity == entity.name)

    def _relation(self, connection: Connection, spec: SourceSpec) -> Relation:
        return relation_of(spec, self.schema, connection)


def _bind_entity(
    entity: Entity, mapping: Mapping, number: int, table_number: int, sources: Sequence[_Source]
) -> BoundEntity:
    units = tuple(
        Unit(
            number=number,
            name=entity.name,
            table_number=table_number,
            table=mapping.table,
            context=source.context,
            source_name=source.reads[entity.name].relation.name or entity.name,
            snapshot=source.snapshot,
            entity=source.bound[entity.name],
            read=source.reads[entity.name],
            validate=source.validate,
        )
        for source in sources
    )
    names = [key.name for key in mapping.table.key_attributes]
    keys = tuple(tuple(dict(item.key)[name] for name in names) for item in entity.items)
    proved = len(sources) == 1 and _proved(units[0], keys, sources[0].schema)
    return BoundEntity(
        number=number,
        name=entity.name,
        table_number=table_number,
        table=mapping.table,
        source_name=units[0].source_name,
        keys=keys,
        units=tuple(replace(unit, proved=proved) for unit in units),
        proved=proved,
        patterns=sources[0].patterns[entity.name],
    )


def _proved(unit: Unit, keys: Sequence[Sequence[Template]], schema: Schema) -> bool:
    """Each item spec gives unique keys, no two of them meet, and no rule wants a column to be unique."""
    assert unit.read is not None
    assert unit.entity is not None
    relation = unit.read.relation
    columns = {column.name: column for column in relation.columns}
    types = [key.type for key in unit.table.key_attributes]
    unique = list(_unique_sets(schema.table(relation.name) if relation.kind == "table" else None))
    if relation.rowid:
        unique.append(frozenset({"@rowid"}))
    return (
        all(proves_unique(zip(templates, types, strict=True), unique, columns) for templates in keys)
        and not any(_may_meet(one, other) for one, other in itertools.combinations(keys, 2))
        and not any(rule.unique for rule in unit.entity.rules)
    )


def _unique_sets(table: Table | None) -> Iterator[frozenset[str]]:
    if table is None:
        return
    if table.primary_key:
        yield frozenset(table.primary_key)
    for index in table.indexes:
        if index.unique and not index.partial and None not in index.columns:
            yield frozenset(name for name in index.columns if name is not None)


def _bind_fixed(mapping: Mapping, number: int, table_number: int, now_s: int, problems: list[Problem]) -> BoundEntity:
    items = []
    for position, attributes in enumerate(mapping.fixed_items):
        try:
            items.append(render_fixed(attributes, mapping.table, RenderContext(now_s)))
        except RowRejected as error:
            problems.append(Problem(mapping.file, f"items[{position}]", error.detail))
    unit = Unit(number, FIXED_ITEMS, table_number, mapping.table, RenderContext(now_s), fixed=tuple(items))
    names = [key.name for key in mapping.table.key_attributes]
    keys = tuple(tuple(Template((_key_text(i.key[n]),)) for n in names) for i in items)
    return BoundEntity(
        number, FIXED_ITEMS, table_number, mapping.table, None, keys, (unit,), proved=len(set(keys)) == len(keys)
    )


def may_collide(one: BoundEntity, other: BoundEntity) -> bool:
    """Whether two entities may give one key, as far as their templates tell."""
    return one.table_number == other.table_number and any(
        _may_meet(left, right) for left, right in itertools.product(one.keys, other.keys)
    )


def _may_meet(one: Sequence[Template], other: Sequence[Template]) -> bool:
    """Whether the templates of two keys may give one text each."""
    return not any(disjoint(a, b) for a, b in zip(one, other, strict=True))
