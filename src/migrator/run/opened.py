"""A plan opened: sources looked into, mappings fitted to them, and the work cut into segments.

`run`, `verify` and `check` all begin here, so that they see the same rows in the same segments.
"""

from __future__ import annotations

import difflib
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from migrator.errors import DocumentError, Problem, RowRejected, UsageError
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.model import Attributes, Entity, Item, Mapping, SourceSpec, TableDefinition, Template
from migrator.mapping.reads import to_read
from migrator.mapping.render import RenderContext, Rendered, render_fixed
from migrator.mapping.templates import disjoint, key_pattern, proves_unique
from migrator.run.collisions import Losers, find_losers
from migrator.run.digests import DigestStore
from migrator.run.plan import Plan
from migrator.run.records import FIXED_ITEMS_NAME, ItemRecord, Labels
from migrator.run.segment import Segment, Unit, iter_outcomes, prove_segment
from migrator.run.workers import StopSignal, map_unordered, pool
from migrator.source.integrity import check_integrity
from migrator.source.relation import Relation, quote
from migrator.source.rows import Read, iter_ranges
from migrator.source.schema import Schema, Table, reflect_schema
from migrator.source.snapshot import Snapshot, connect, release, take_snapshot
from migrator.target.session import create_client

SEGMENT_ROWS = 20_000


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

    def fits(self, key: Attributes) -> bool:
        """Whether an item of the table may be this entity's, by its key."""
        texts = [str(next(iter(key[attribute.name].values()))) for attribute in self.table.key_attributes]
        return any(
            all(key_pattern(t).fullmatch(text) for t, text in zip(templates, texts, strict=True))
            for templates in self.keys
        )


class OpenRun:
    """The entities of a run, in the order of duplicates, and what is done with all of them."""

    def __init__(self, plan: Plan, entities: Sequence[BoundEntity], snapshots: Sequence[Snapshot], scratch: Path):
        self.plan = plan
        self.entities = tuple(entities)
        self.snapshots = tuple(snapshots)
        self.scratch = scratch
        self.tables = {entity.table_number: entity.table for entity in entities}
        self.segments = list(self._cut())
        self._client: Any = None

    @property
    def has_client(self) -> bool:
        return self._client is not None

    def client(self) -> Any:
        """The coordinator's own client."""
        if self._client is None:
            self._client = create_client(self.plan.target)
        return self._client

    def workers(self) -> int:
        return max(1, min(self.plan.settings.parallelism, len(self.segments)))

    def _cut(self) -> Iterator[Segment]:
        numbers = itertools.count()
        for unit in (unit for entity in self.entities for unit in entity.units):
            if unit.read is None or unit.snapshot is None:
                yield Segment(next(numbers), unit)
                continue
            with connect(unit.snapshot) as connection:
                for part in iter_ranges(connection, unit.read.relation, SEGMENT_ROWS):
                    yield Segment(next(numbers), unit, part)

    def needs_proof(self) -> bool:
        """Whether only the data can tell that no two rows give one key."""
        return not all(entity.proved for entity in self.entities) or any(
            _may_collide(a, b) for a, b in itertools.combinations(self.entities, 2)
        )

    def render_all(self, stop: StopSignal, progress: Callable[[int], None] | None = None) -> Iterator[list[ItemRecord]]:
        """Records of every item of every row that is not rejected for itself."""
        workers = self.workers()
        with pool(workers, stop) as executor:
            tasks = ((segment,) for segment in self.segments)
            for result in map_unordered(executor, prove_segment, tasks, workers * 2):
                if progress:
                    progress(result.read)
                yield result.records

    @contextmanager
    def proof(self, stop: StopSignal) -> Iterator[Losers | None]:
        """Which rows lose their key to an earlier one; None where the schema proves that none can."""
        if not self.needs_proof():
            yield None
            return
        with DigestStore(self.scratch / "proof.sqlite") as store:
            for records in self.render_all(stop):
                store.add(records)
            yield self.losers(store)

    def iter_repeats(self) -> Iterator[tuple[int, int]]:
        """Entity number and how many rows repeat a value that a `unique` rule of severity warn watches."""
        for entity in self.entities:
            repeats = sum(_count_repeats(unit) for unit in entity.units)
            if repeats:
                yield entity.number, repeats

    def labels(self) -> Labels:
        """Names for the numbers in records."""
        return Labels(
            entities={entity.number: entity.name for entity in self.entities},
            key_columns={e.number: u.read.relation.key for e in self.entities for u in e.units if u.read},
            tables=self.tables,
        )

    def losers(self, store: DigestStore) -> Losers:
        return find_losers(store, self.labels())

    def render_row(self, entity: int, segment: int, row: int) -> list[Item]:
        """One row's items, rendered again; [] where it is rejected."""
        for outcome in iter_outcomes(self.segments[segment]):
            if outcome.position == row:
                return [i for _, i in outcome.result.items] if isinstance(outcome.result, Rendered) else []
        return []


def _count_repeats(unit: Unit) -> int:
    """Rows of one file that repeat a value."""
    if unit.entity is None or unit.read is None or unit.snapshot is None:
        return 0
    watched = [quote(rule.column) for rule in unit.entity.rules if rule.unique and rule.severity == "warn"]
    if not watched:
        return 0
    where = f" WHERE {unit.entity.where}" if unit.entity.where else ""
    counts = " + ".join(f"count({column}) - count(DISTINCT {column})" for column in watched)
    with connect(unit.snapshot) as connection:
        source = unit.read.relation.from_sql + (" AS query" if unit.read.relation.kind == "query" else "")
        repeats: int = connection.exec_driver_sql(f"SELECT {counts} FROM {source}{where}").scalar_one()
    return repeats


def _may_collide(one: BoundEntity, other: BoundEntity) -> bool:
    if one.table_number != other.table_number:
        return False
    return any(
        not any(disjoint(a, b) for a, b in zip(left, right, strict=True))
        for left, right in itertools.product(one.keys, other.keys)
    )


@contextmanager
def open_run(plan: Plan, entities: Sequence[str] = (), *, now_s: int | None = None) -> Iterator[OpenRun]:
    """Open the sources and fit the mappings to them.

    `entities` narrows the run to these names; `now_s` is the run's start, for `{now: …}`.
    Raises SourceError, and DocumentError with all that does not fit.
    """
    scratch = Path(tempfile.mkdtemp(prefix="migrator-", dir=_state_dir(plan)))
    try:
        snapshots = []
        with ExitStack() as stack:
            for path in plan.sources:
                snapshots.append(take_snapshot(path, scratch))
                stack.callback(release, snapshots[-1])
            bound = _bind_all(plan, entities, snapshots, int(time.time()) if now_s is None else now_s)
            yield OpenRun(plan, bound, snapshots, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _state_dir(plan: Plan) -> Path:
    path = Path(plan.settings.state_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the state folder cannot be made: {error.strerror}") from error
    return path


def _bind_all(plan: Plan, names: Sequence[str], snapshots: Sequence[Snapshot], now_s: int) -> list[BoundEntity]:
    """The entities of the run in order: fixed items first, then what the plan or the command line names."""
    selection = _selection(plan, names)
    problems: list[Problem] = []
    sources = [_Source(plan, snapshot, now_s, problems) for snapshot in snapshots]
    numbers = itertools.count()
    tables: dict[str, int] = {}
    bound = []
    for mapping in plan.mappings:
        table_number = tables.setdefault(mapping.table.name, len(tables))
        if mapping.fixed_items and FIXED_ITEMS_NAME in selection:
            bound.append(_fixed(mapping, next(numbers), table_number, now_s, problems))
    if not bound:
        next(numbers)  # fixed items keep their number, so that entities count from 1
    if problems:
        raise DocumentError(problems)
    found = {e.name: (m, tables[m.table.name], e) for m in plan.mappings for e in m.entities}
    for name in selection:
        if name != FIXED_ITEMS_NAME:
            mapping, table_number, entity = found[name]
            bound.append(_entity(entity, mapping, next(numbers), table_number, sources))
    return bound


def _selection(plan: Plan, names: Sequence[str]) -> list[str]:
    known = [entity.name for mapping in plan.mappings for entity in mapping.entities]
    planned = list(plan.entities) if plan.entities is not None else known
    if not names:
        return [FIXED_ITEMS_NAME, *planned]
    for name in names:
        if name not in planned and name != FIXED_ITEMS_NAME:
            near = difflib.get_close_matches(name, planned, 1)
            hint = f'  Did you mean "{near[0]}"?' if near else ""
            raise UsageError(f'--entity: there is no entity "{name}" in {plan.file}\n  entities: {", ".join(planned)}.{hint}')
    return [name for name in (FIXED_ITEMS_NAME, *planned) if name in names]


class _Source:
    """One source file, with the plan's mappings fitted to its schema."""

    def __init__(self, plan: Plan, snapshot: Snapshot, now_s: int, problems: list[Problem]) -> None:
        self.snapshot = snapshot
        path = Path(snapshot.path)
        self.context = RenderContext(now_s, path.name, path.stem)
        self.validate = plan.settings.validate
        self.only = len(plan.sources) == 1
        self.bound: dict[str, Entity] = {}
        self.reads: dict[str, Read] = {}
        with connect(snapshot) as connection:
            if plan.settings.integrity_check == "full":
                check_integrity(connection)
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

    def _relation(self, connection: Connection, spec: SourceSpec) -> Relation:
        return relation_of(spec, self.schema, connection)


def _entity(
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
    keys = tuple(tuple(dict(item.key)[name] for name in names) for item in units[0].entity.items)
    return BoundEntity(
        number=number,
        name=entity.name,
        table_number=table_number,
        table=mapping.table,
        source_name=units[0].source_name,
        keys=keys,
        units=units,
        proved=len(sources) == 1 and _proved(units[0], keys, sources[0].schema),
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
        and all(
            any(disjoint(a, b) for a, b in zip(one, other, strict=True))
            for one, other in itertools.combinations(keys, 2)
        )
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


def _fixed(
    mapping: Mapping, number: int, table_number: int, now_s: int, problems: list[Problem]
) -> BoundEntity:
    items = []
    for position, attributes in enumerate(mapping.fixed_items):
        try:
            items.append(render_fixed(attributes, mapping.table, RenderContext(now_s)))
        except RowRejected as error:
            problems.append(Problem(mapping.file, f"items[{position}]", error.detail))
    unit = Unit(number, FIXED_ITEMS_NAME, table_number, mapping.table, RenderContext(now_s), fixed=tuple(items))
    names = [key.name for key in mapping.table.key_attributes]
    keys = tuple(tuple(Template((str(next(iter(i.key[n].values()))),)) for n in names) for i in items)
    return BoundEntity(number, FIXED_ITEMS_NAME, table_number, mapping.table, None, keys, (unit,), proved=len(set(keys)) == len(keys))
