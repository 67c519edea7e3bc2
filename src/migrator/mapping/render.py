"""One row becomes items, or is rejected whole: the plain renderer.

It says what a mapping means in the simplest way there is; anything faster is held to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from migrator.errors import RowRejected
from migrator.mapping.canonical import item_size
from migrator.mapping.evaluate import Evaluate, Level, RenderContext
from migrator.mapping.keys import key_renderer
from migrator.mapping.model import (
    Attributes,
    Entity,
    Expression,
    Item,
    ItemSpec,
    KeyType,
    Rule,
    TableDefinition,
    Template,
)
from migrator.mapping.reads import children_of, iter_expressions
from migrator.mapping.rules import check_rules
from migrator.mapping.validate import check_item
from migrator.source.read import Read
from migrator.source.rows import Row
from migrator.source.text import SqliteValue


class Rendered(Struct, frozen=True):
    """A row's items, each with its position among the entity's item specs, and the rules it only warned of."""

    items: list[tuple[int, Item]]
    warnings: int = 0


class EntityRenderer:
    """Renders the rows of one entity, whose names `mapping.bind` has made exact."""

    def __init__(
        self, entity: Entity, read: Read, table: TableDefinition, context: RenderContext, *, validate: bool = True
    ) -> None:
        self._rules = entity.rules
        self._columns = read.columns
        self._table = table
        self._validate = validate
        level = Level(read.columns, children_of(iter_expressions(entity)), read.children, entity.nulls, context)
        conditions = iter(range(len(read.conditions)))
        self._items = [
            (next(conditions) if item.where else None, _item_evaluator(item, table, level)) for item in entity.items
        ]

    def render(self, row: Row) -> Rendered:
        """The row's items. Raises RowRejected: a row is rendered whole or rejected whole."""
        warnings = 0
        if self._rules:
            warnings = count_warnings(self._rules, dict(zip(self._columns, row.values, strict=True)))
        items = []
        for position, (condition, evaluate) in enumerate(self._items):
            if condition is None or row.conditions[condition]:
                items.append((position, to_item(evaluate(row), self._table, validate=self._validate)))
        return Rendered(items, warnings)


def count_warnings(rules: tuple[Rule, ...], values: Mapping[str, SqliteValue]) -> int:
    """How many rules a row breaks that only warn. Raises RowRejected for the first of the others."""
    findings = check_rules(rules, values)
    for rule, column, severity, detail in findings:
        if severity == "error":
            raise RowRejected(rule, detail, column)
    return len(findings)


def to_item(attributes: Attributes, table: TableDefinition, *, validate: bool = True) -> Item:
    """An item of its attributes, held against DynamoDB's limits."""
    size = check_item(attributes, table) if validate else item_size(attributes)
    return Item(attributes, {key.name: attributes[key.name] for key in table.key_attributes}, size)


def render_fixed(
    attributes: tuple[tuple[str, Expression], ...], table: TableDefinition, context: RenderContext
) -> Item:
    """An item of the mapping's `items:`: constants and moments."""
    level = Level((), (), (), "keep", context)
    row = Row(())
    values = {name: level.evaluator(expression)(row) for name, expression in attributes}
    return to_item({name: value for name, value in values.items() if value is not None}, table)


def _item_evaluator(item: ItemSpec, table: TableDefinition, level: Level) -> Callable[[Row], Attributes]:
    own = {key.name: key.type for key in table.key_attributes}
    index_types = table.index_key_types()
    keys = [(n, _key_evaluator(n, t, own[n], level, required=True)) for n, t in item.key if n in own]
    index = [(n, _key_evaluator(n, t, index_types[n], level, required=False)) for n, t in item.key if n not in own]
    attributes = [(name, level.evaluator(expression)) for name, expression in (*item.attributes, *item.rest)]
    evaluators = (*keys, *index, *attributes)

    def evaluate(row: Row) -> Attributes:
        values: Attributes = {}
        for name, evaluator in evaluators:
            value = evaluator(row)
            if value is not None:
                values[name] = value
        return values

    return evaluate


def _key_evaluator(name: str, template: Template, key_type: KeyType, level: Level, *, required: bool) -> Evaluate:
    render = key_renderer(name, template, key_type, required=required)
    return lambda row: render(level.lookup(row))
