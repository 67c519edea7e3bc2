"""Fit an access pattern to a source's schema: where each of its names gets its value, and whether its SQL compiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from migrator.errors import known_names
from migrator.mapping.hints import hint_of
from migrator.mapping.model import AccessPattern, ColumnValue, Condition, Operand, Template
from migrator.mapping.templates import unknown_name
from migrator.source.compiles import compile_select
from migrator.source.relation import Relation
from migrator.yamlfile import join


class Misfit(Struct, frozen=True):
    """What does not fit: where in the pattern, what, and what to do."""

    at: str
    message: str
    hints: tuple[str, ...] = ()


def parameter_name(column: ColumnValue) -> str:
    """The name of a placeholder among a question's parameters.

    >>> parameter_name(ColumnValue("email")), parameter_name(ColumnValue("rowid", builtin=True))
    ('email', '@rowid')
    """
    return f"@{column.column}" if column.builtin else column.column


def bind_pattern(
    pattern: AccessPattern, relation: Relation, connection: Connection, groups: Sequence[str] = ()
) -> tuple[AccessPattern, list[Misfit]]:
    """The pattern with what is sampled of its entity's rows, and all that does not fit them.

    `groups` are the names that the plan's `source_pattern` gives to templates.
    """
    given = [name for name, _ in pattern.params]
    found = list(_placeholders(pattern))
    misfits: list[Misfit] = []
    if pattern.sql is not None:
        names, misfits = _bind_sql(pattern.sql, relation, connection)
        found += [("sql", ColumnValue(name)) for name in names]
    named: dict[str, tuple[str, ColumnValue]] = {}
    for at, column in found:
        named.setdefault(parameter_name(column), (at, column))
    misfits += [Misfit(join("params", name), "nothing asks for it") for name in given if name not in named]
    sampled = tuple(name for name in named if name not in given)
    misfits += [misfit for name in sampled for misfit in _misfits(*named[name], pattern, relation, groups)]
    filters = tuple(_hinted(condition, relation, given) for condition in pattern.filter)
    return replace(pattern, filter=filters, sampled=sampled), misfits


def _placeholders(pattern: AccessPattern) -> Iterator[tuple[str, ColumnValue]]:
    for block, conditions in (("key", pattern.key), ("filter", pattern.filter)):
        for condition in conditions:
            for operand in condition.operands:
                columns = operand.columns() if isinstance(operand, Template) else ()
                yield from ((f"{block}.{condition.attribute}", column) for column in columns)


def _misfits(
    at: str, column: ColumnValue, pattern: AccessPattern, relation: Relation, groups: Sequence[str]
) -> Iterator[Misfit]:
    name = column.column
    if column.builtin:
        if name == "rowid" and relation.rowid is None:
            yield Misfit(at, f"@rowid: {relation.label} has no rowid")
        if unknown := unknown_name(column, groups):
            yield Misfit(at, unknown[0], unknown[1:])
    elif relation.column(name) is None:
        columns = known_names("columns", [c.name for c in relation.columns], name)
        parameters = known_names("params", [name for name, _ in pattern.params], name)
        message = f'"{name}" is neither a column of {relation.label} nor a parameter'
        yield Misfit(at, message, (columns, parameters))


def _bind_sql(sql: str, relation: Relation, connection: Connection) -> tuple[tuple[str, ...], list[Misfit]]:
    """The names of its parameters."""
    if not relation.key:
        hint = "name its key: source: {table: NAME, key: [column]}"
        return (), [Misfit("sql", f"{relation.label} has no key to match the rows of SQL by", (hint,))]
    select = compile_select(connection, sql)
    if isinstance(select, str):
        hint = "it is one SELECT, with parameters as :name"
        return (), [Misfit("sql", f"SQLite refuses the query: {select}", (hint,))]
    misfits = []
    missing = [column for column in relation.key if column.lower() not in map(str.lower, select.columns)]
    if missing:
        named = ", ".join(f'"{column}"' for column in missing)
        own = relation.column(missing[0]) is not None
        hint = "SELECT * has its columns" if own else f"SELECT {missing[0]}, * has it"
        misfits.append(Misfit("sql", f"its result lacks {named}, the key of {relation.label}", (hint,)))
    for column in relation.key:
        if any(re.fullmatch(rf"{re.escape(column)}:\d+", name, re.IGNORECASE) for name in select.columns):
            hint = "of a join, select one table's columns: SELECT t.*"
            misfits.append(Misfit("sql", f'its result has "{column}" more than once', (hint,)))
    return select.parameters, misfits


def _hinted(condition: Condition, relation: Relation, given: list[str]) -> Condition:
    """A whole, unfiltered column is compared as an attribute of that column would be written."""
    operands: list[Operand] = []
    for operand in condition.operands:
        match operand:
            case Template((ColumnValue(filters=()) as single,)) if parameter_name(single) not in given:
                column = None if single.builtin else relation.column(single.column)
                hint = hint_of(column.declared_type) if column else ""
                operands.append(replace(operand, parts=(replace(single, hint=hint),)))
            case _:
                operands.append(operand)
    return replace(condition, operands=tuple(operands))
