"""Key templates: USER#{id|lower}. Parsed here, and rendered here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from migrator.errors import RowRejected, known_names
from migrator.mapping.filters import PYTHON, FilteredValue, apply_filters
from migrator.mapping.model import ColumnValue, FilterCall, Template
from migrator.mapping.values import JSON_NULL, to_text
from migrator.source.text import SqliteValue

#: What templates know beside columns, as @rowid; the named groups of a plan's `source_pattern` come to it.
BUILTINS = ("rowid", "file", "stem")

_QUOTED = r'"(?:[^"]|"")*"'
_NAME = re.compile(rf"\s*(?:(?P<quoted>{_QUOTED})|@(?P<builtin>\w+)|(?P<plain>\w+))\s*")
_FILTER = re.compile(r"\|\s*(?P<name>python:[\w.]+|\w+)\s*(?P<open>\()?")
_ARGUMENT = re.compile(rf"\s*(?:(?P<text>{_QUOTED}|'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?))\s*(?P<end>[,)])")
_LITERAL = re.compile(r"(?:[^{}]|\{\{|\}\})+")
_SPACE = re.compile(r"\s*")

#: How a row's value is found: by the column that a placeholder names.
Lookup = Callable[[ColumnValue], SqliteValue]


class TemplateError(ValueError):
    """The text is no template; the message says what is wrong and where."""


def parse_template(text: str) -> Template:
    """Read a template.

    >>> parse_template("USER#{id|lower}").parts
    ('USER#', ColumnValue(column='id', filters=(FilterCall(name='lower', arguments=()),), builtin=False, hint=''))
    """
    parts: list[str | ColumnValue] = []
    position = 0
    while position < len(text):
        if literal := _LITERAL.match(text, position):
            parts.append(literal[0].replace("{{", "{").replace("}}", "}"))
            position = literal.end()
        elif text[position] == "}":
            raise TemplateError(f'"}}" without "{{" in {text!r}: write }}}} for a literal brace')
        else:
            column, position = _parse_column(text, position + 1)
            if text[position : position + 1] != "}":
                raise TemplateError(f'"{{" is not closed in {text!r}: write {{{{ for a literal brace')
            parts.append(column)
            position += 1
    return Template(tuple(parts), text)


def parse_column(text: str) -> ColumnValue:
    """Read an attribute's `column|filter|filter(args)`."""
    column, position = _parse_column(text, 0)
    if position != len(text):
        raise TemplateError(
            f"{text[position:]!r} is not understood in {text!r}: "
            'a name with anything but letters, digits and _ stands in double quotes, as in {"a b"}'
        )
    return column


def _parse_column(text: str, position: int) -> tuple[ColumnValue, int]:
    name = _NAME.match(text, position)
    if name is None:
        raise TemplateError(f"a column is missing in {text!r}")
    position, filters = name.end(), []
    while call := _FILTER.match(text, position):
        position = call.end()
        arguments: list[str | int | float] = []
        if call["open"]:
            arguments, position = _parse_arguments(text, position)
        filters.append(FilterCall(call["name"], tuple(arguments)))
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # \s* always matches
    column = name["builtin"] or name["plain"] or name["quoted"][1:-1].replace('""', '"')
    return ColumnValue(column, tuple(filters), builtin=name["builtin"] is not None), position


def _parse_arguments(text: str, position: int) -> tuple[list[str | int | float], int]:
    if empty := re.compile(r"\s*\)").match(text, position):
        return [], empty.end()
    arguments: list[str | int | float] = []
    while argument := _ARGUMENT.match(text, position):
        position = argument.end()
        if argument["text"]:
            mark = argument["text"][0]
            arguments.append(argument["text"][1:-1].replace(mark * 2, mark))
        else:
            arguments.append(float(argument["number"]) if "." in argument["number"] else int(argument["number"]))
        if argument["end"] == ")":
            return arguments, position
    raise TemplateError(f"the arguments are not understood in {text!r}: they are numbers or quoted text in ( )")


def column_value(column: ColumnValue, lookup: Lookup) -> FilteredValue:
    """The column's value through its filters."""
    return apply_filters(lookup(column), column.filters, column.column)


def is_null(value: FilteredValue) -> bool:
    """NULL, or the `null` of JSON: neither has a text."""
    return value is None or value is JSON_NULL


def render_text(template: Template, lookup: Lookup) -> str | None:
    """The template as text; None where a column is NULL.

    Raises RowRejected for a BLOB, for text that is not UTF-8, and for what a filter refuses.
    """
    texts: list[str] = []
    for part in template.parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            value = column_value(part, lookup)
            if is_null(value):
                return None
            texts.append(to_text(value, part.column))
    return "".join(texts)


# ---- names that are the same for all rows of a file


def unknown_name(column: ColumnValue, groups: Iterable[str]) -> tuple[str, str] | None:
    """What is wrong with a placeholder @NAME, and the names there are; `groups` are those of `source_pattern`."""
    known = (*BUILTINS, *groups)
    if column.column in known:
        return None
    names = known_names("names", [f"@{name}" for name in known], f"@{column.column}")
    return f"@{column.column} is unknown", f"{names}; a named group of the plan's source_pattern gives another"


def is_of_file(column: ColumnValue) -> bool:
    return column.builtin and column.column != "rowid"


def fill(template: Template, texts: Mapping[str, str]) -> Template:
    """The template with what its file says put in; what a filter makes nothing of stays, for the rows to be rejected.

    >>> fill(parse_template("{@stem|upper}#{id}"), {"stem": "acme"}).parts[0]
    'ACME#'
    """
    parts: list[str | ColumnValue] = []
    for part in (_filled(part, texts) for part in template.parts):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return Template(tuple(parts), template.source)


def _filled(part: str | ColumnValue, texts: Mapping[str, str]) -> str | ColumnValue:
    # What a filter of the user's own gives may differ from call to call.
    if isinstance(part, str) or not is_of_file(part) or any(call.name.startswith(PYTHON) for call in part.filters):
        return part
    try:
        value = apply_filters(texts[part.column], part.filters, part.column)
        return part if is_null(value) else encodable(to_text(value, part.column))
    except (RowRejected, UnicodeEncodeError):
        return part


def encodable(text: str) -> str:
    """The text. Raises UnicodeEncodeError for a file name that is not UTF-8."""
    text.encode()
    return text
