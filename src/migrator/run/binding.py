"""A plan's entities fitted to its source files: names made exact, and what the schema proves of their keys."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from migrator.errors import Problem, RowRejected
from migrator.mapping.document import FIXED_ITEMS
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.key_proofs import key_pattern
from migrator.mapping.model import (
    AccessPattern,
    Attributes,
    AttributeValue,
    Entity,
    Mapping,
    TableDefinition,
    Template,
)
from migrator.mapping.render import render_fixed
from migrator.run.fitting import FittedFile
from migrator.run.plan import Plan
from migrator.run.segment import Unit
from migrator.run.uniqueness import proved_in_file, proved_over_files


class BoundEntity(Struct, frozen=True):
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

    def texts_of(self, key: Attributes) -> list[str]:
        """A key of the table, as its templates would have written it."""
        return [_key_text(key[attribute.name]) for attribute in self.table.key_attributes]

    def fits(self, texts: Sequence[str]) -> bool:
        """Whether an item of the table may be this entity's, by its key in the words of the templates."""
        return any(
            all(key_pattern(t).fullmatch(text) for t, text in zip(templates, texts, strict=True))
            for templates in self.keys
        )


def _key_text(value: AttributeValue) -> str:
    """A key attribute as its template would have written it."""
    (content,) = value.values()
    return content if isinstance(content, str) else bytes(content).decode(errors="replace")


def bind_entities(
    plan: Plan, names: Sequence[str], files: Sequence[FittedFile], fixed: Sequence[BoundEntity]
) -> list[BoundEntity]:
    """The entities of the run in order: fixed items first, then what the plan or the command line names."""
    found = {e.name: (m, e) for m in plan.mappings for e in m.entities}
    bound = list(fixed)
    for name in _selection(plan, names):
        if name != FIXED_ITEMS:
            bound.append(_bind_entity(plan, *found[name], len(bound), files))
    return bound


def bind_fixed(plan: Plan, names: Sequence[str], now_s: int) -> tuple[list[BoundEntity], list[Problem]]:
    """The fixed items of each mapping that has some, if they are asked for, and what is wrong with them."""
    bound: list[BoundEntity] = []
    problems: list[Problem] = []
    for mapping in plan.mappings if FIXED_ITEMS in _selection(plan, names) else ():
        if mapping.fixed_items:
            number = _table_numbers(plan)[mapping.table.name]
            bound.append(_bind_fixed(mapping, len(bound), number, now_s, problems))
    return bound, problems


def _table_numbers(plan: Plan) -> dict[str, int]:
    return {name: n for n, name in enumerate(dict.fromkeys(mapping.table.name for mapping in plan.mappings))}


def _selection(plan: Plan, names: Sequence[str]) -> tuple[str, ...]:
    """What a run does of the plan: all, or what the command line names."""
    return tuple(name for name in plan.entity_names if not names or name in names)


def _bind_entity(plan: Plan, mapping: Mapping, entity: Entity, number: int, files: Sequence[FittedFile]) -> BoundEntity:
    table_number = _table_numbers(plan)[mapping.table.name]
    names = [key.name for key in mapping.table.key_attributes]
    keys = tuple(tuple(dict(item.key)[name] for name in names) for item in entity.items)
    units = tuple(
        Unit(
            number=number,
            name=entity.name,
            table_number=table_number,
            table=mapping.table,
            context=file.context,
            source_name=file.fit.reads[entity.name].relation.name or entity.name,
            snapshot=file.snapshot,
            entity=file.fit.entities[entity.name],
            read=file.fit.reads[entity.name],
            validate=plan.settings.validate,
        )
        for file in files
    )
    # What is proved of one file is proved of all with its schema.
    by_schema = {id(file.fit): (unit, file.fit.schema) for unit, file in zip(units, files, strict=True)}
    proved = {fit: proved_in_file(unit, keys, schema) for fit, (unit, schema) in by_schema.items()}
    return BoundEntity(
        number=number,
        name=entity.name,
        table_number=table_number,
        table=mapping.table,
        source_name=units[0].source_name,
        keys=keys,
        units=tuple(replace(unit, proved=proved[id(file.fit)]) for unit, file in zip(units, files, strict=True)),
        proved=all(proved.values()) and proved_over_files(units, keys, mapping.table),
        patterns=files[0].fit.patterns[entity.name],
    )


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
