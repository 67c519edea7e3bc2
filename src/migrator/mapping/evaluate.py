"""What an expression of a mapping gives for a row.

Expressions are turned into closures once, so that a row costs calls and no decisions.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from migrator.errors import RowRejected
from migrator.mapping.model import (
    Attributes,
    AttributeValue,
    Children,
    ColumnValue,
    Constant,
    Expression,
    MapOf,
    Now,
    Template,
)
from migrator.mapping.reads import child_expressions, children_of
from migrator.mapping.templates import Lookup, column_value, is_null, render_text
from migrator.mapping.values import to_attribute_value, to_text
from migrator.source.read import ChildRead
from migrator.source.rows import LaidOut, Row
from migrator.source.text import SqliteValue

NULL: AttributeValue = {"NULL": True}

#: A row's attribute value, or None to leave the attribute out.
Evaluate = Callable[[Row], AttributeValue | None]
_EvaluateRows = Callable[[LaidOut], AttributeValue | None]


class RenderContext(Struct, frozen=True):
    """What items may know beside their row."""

    now_s: int  #: epoch seconds of the run's start
    file: str = ""  #: the source file's name
    stem: str = ""
    groups: tuple[tuple[str, str], ...] = ()  #: what the named groups of the plan's `source_pattern` found in its path

    @property
    def texts(self) -> dict[str, str]:
        """What templates know as @NAME and is the same for all rows of the file."""
        return {"file": self.file, "stem": self.stem, **dict(self.groups)}


class Level:
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
        level = Level(read.columns, children_of(child_expressions(child)), read.children, self._nulls, self._context)
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
