"""One row becomes items, or is rejected whole: the plain renderer.

It says what a mapping means in the simplest way there is; anything faster is held to it.
Expressions are turned into closures once, so that a row costs calls and no decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from migrator.errors import RowRejected
from migrator.mapping.canonical import item_size
from migrator.mapping.model import (
    Attributes,
    AttributeValue,
    Children,
    ColumnValue,
    Constant,
    Entity,
    Expression,
    Item,
    ItemSpec,
    KeyType,
    MapOf,
    Now,
    Rule,
    TableDefinition,
    Template,
)
from migrator.mapping.reads import child_expressions, children_of, iter_expressions
from migrator.mapping.rules import check_rules
from migrator.mapping.templates import Lookup, column_value, is_null, render_text
from migrator.mapping.validate import check_item
from migrator.mapping.values import number_text, to_attribute_value, to_text
from migrator.source.read import ChildRead, Read
from migrator.source.rows import LaidOut, Row
from migrator.source.text import SqliteValue

NULL: AttributeValue = {"NULL": True}

#: A row's attribute value, or None to leave the attribute out.
Evaluate = Callable[[Row], AttributeValue | None]
_EvaluateRows = Callable[[LaidOut], AttributeValue | None]


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What items may know beside their row."""

    now_s: int  #: epoch seconds of the run's start
    file: str = ""  #: the source file's name
    stem: str = ""
    groups: tuple[tuple[str, str], ...] = ()  #: what the named groups of the plan's `source_pattern` found in its path

    @property
    def texts(self) -> dict[str, str]:
        """What templates know as @NAME and is the same for all rows of the file."""
        return {"file": self.file, "stem": self.stem, **dict(self.groups)}


@dataclass(frozen=True, slots=True)
class Rendered:
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
        level = _Level(read.columns, children_of(iter_expressions(entity)), read.children, entity.nulls, context)
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
    level = _Level((), (), (), "keep", context)
    row = Row(())
    values = {name: level.evaluator(expression)(row) for name, expression in attributes}
    return to_item({name: value for name, value in values.items() if value is not None}, table)


def _item_evaluator(item: ItemSpec, table: TableDefinition, level: _Level) -> Callable[[Row], Attributes]:
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


def _key_evaluator(name: str, template: Template, key_type: KeyType, level: _Level, *, required: bool) -> Evaluate:
    render = key_renderer(name, template, key_type, required=required)
    return lambda row: render(level.lookup(row))


def key_renderer(
    name: str, template: Template, key_type: KeyType, *, required: bool
) -> Callable[[Lookup], AttributeValue | None]:
    """What renders a key: of an item here, of a question in `mapping.conditions`.

    A `required` key that is NULL or empty rejects the row; any other is None then.
    """
    placeholders = list(template.columns())
    single = template.parts[0] if len(template.parts) == 1 else None
    column = placeholders[0].column if placeholders else None

    def render(lookup: Lookup) -> AttributeValue | None:
        if key_type == "B" and isinstance(single, ColumnValue):
            value = column_value(single, lookup)
            if type(value) is bytes and value:
                return {"B": value}
            text = "" if value == b"" else render_text(template, lookup)
        else:
            text = render_text(template, lookup)
        if text:
            return _typed_key(name, text, key_type, column, required=required)
        if not required:
            return None
        if text is None:
            null = next(p.column for p in placeholders if is_null(column_value(p, lookup)))
            raise RowRejected("null_key", f"key {name} needs {null}, which is NULL", null)
        raise RowRejected("empty_key", f"key {name} is empty", column)

    return render


def _typed_key(name: str, text: str, key_type: KeyType, column: str | None, *, required: bool) -> AttributeValue:
    if key_type == "S":
        return {"S": text}
    if key_type == "B":
        return {"B": text.encode()}
    try:
        return {"N": number_text(text)}
    except RowRejected as error:
        code = "key_type" if required else "index_key_type"
        raise RowRejected(code, f"key {name} is declared as a number: {error.detail}", column) from error


class _Level:
    """One level of rows, the entity's own or child rows: where its columns and children stand in a Row."""

    def __init__(
        self,
        columns: tuple[str, ...],
        children: tuple[Children, ...],
        reads: tuple[ChildRead, ...],
        nulls: str,
        context: RenderContext,
    ) -> None:
        self._positions = {column: position for position, column in enumerate(columns)}
        self._children = children
        self._reads = reads
        self._null = NULL if nulls == "keep" else None
        self._nulls = nulls
        self._context = context
        self._texts = context.texts

    def lookup(self, row: Row) -> Lookup:
        def value(column: ColumnValue) -> SqliteValue:
            if column.builtin:
                return row.rowid if column.column == "rowid" else self._texts[column.column]
            return row.values[self._positions[column.column]]

        return value

    def evaluator(self, expression: Expression) -> Evaluate:
        match expression:
            case ColumnValue():
                return self._column(expression)
            case Template():
                return self._template(expression)
            case Constant(value):
                return lambda row: value
            case Now(offset_s):
                moment = {"N": str(self._context.now_s + offset_s)}
                return lambda row: moment
            case MapOf(attributes):
                evaluate = self._attributes(attributes)
                return lambda row: {"M": evaluate(row)}
            case Children():
                return self._child(expression)

    def _column(self, column: ColumnValue) -> Evaluate:
        def evaluate(row: Row) -> AttributeValue | None:
            try:
                value = to_attribute_value(column_value(column, self.lookup(row)), column.hint)
            except RowRejected as error:
                raise RowRejected(error.code, error.detail, error.column or column.column) from error
            return self._null if value is None else value

        return evaluate

    def _template(self, template: Template) -> Evaluate:
        def evaluate(row: Row) -> AttributeValue | None:
            text = render_text(template, self.lookup(row))
            return None if text is None else {"S": text}

        return evaluate

    def _attributes(self, attributes: tuple[tuple[str, Expression], ...]) -> Callable[[Row], Attributes]:
        evaluators = [(name, self.evaluator(expression)) for name, expression in attributes]

        def evaluate(row: Row) -> Attributes:
            values = ((name, evaluator(row)) for name, evaluator in evaluators)
            return {name: value for name, value in values if value is not None}

        return evaluate

    def _child(self, child: Children) -> Evaluate:
        position = self._children.index(child)
        read = self._reads[position]
        level = _Level(read.columns, children_of(child_expressions(child)), read.children, self._nulls, self._context)
        shape = {"list": level._list, "one": level._one, "entries": level._entries}[child.shape]
        evaluate_rows = shape(child)
        source = child.source.table or "the query"

        def evaluate(row: Row) -> AttributeValue | None:
            rows = row.children[position]
            if child.shape == "one" and len(rows) > 1:
                raise RowRejected("many_rows", f"one: found {len(rows)} rows of {source}", child.match[0][1])
            try:
                return evaluate_rows(rows)
            except RowRejected as error:
                # The parent may have a column of that name, and the row that is named is the parent's.
                column = error.column and f"{source}.{error.column}"
                raise RowRejected(error.code, error.detail, column) from error

        return evaluate

    def _list(self, child: Children) -> _EvaluateRows:
        if child.value is not None:
            scalar = self.evaluator(child.value)
            return lambda rows: {"L": [value for row in rows if (value := scalar(row)) is not None]}
        attributes = self._attributes(child.attributes)
        return lambda rows: {"L": [{"M": attributes(row)} for row in rows]}

    def _one(self, child: Children) -> _EvaluateRows:
        attributes = self._attributes(child.attributes)
        return lambda rows: {"M": attributes(next(iter(rows)))} if rows else None

    def _entries(self, child: Children) -> _EvaluateRows:
        name, value = child.name, child.value
        assert name is not None
        assert value is not None
        evaluate_value = self.evaluator(value)

        def evaluate(rows: LaidOut) -> AttributeValue | None:
            entries: Attributes = {}
            for row in rows:
                given = column_value(name, self.lookup(row))
                if is_null(given):
                    raise RowRejected("null_name", f"the name of an entry is NULL ({name.column})", name.column)
                text = to_text(given, name.column)
                if text in entries:
                    raise RowRejected("duplicate_name", f"two entries are called {text!r}", name.column)
                entry = evaluate_value(row)
                if entry is not None:
                    entries[text] = entry
            return {"M": entries}

        return evaluate
