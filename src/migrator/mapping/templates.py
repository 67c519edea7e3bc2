"""Key templates: USER#{id|lower}. Parsed here, rendered here, and proved here to give unique keys.

Two rows with one key overwrite each other in DynamoDB without a word, so `proves_unique` and `disjoint`
only say yes where the schema guarantees it; everything else is settled by looking at the data (`run.collisions`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import pairwise

from migrator.errors import RowRejected, known_names
from migrator.mapping.filters import PYTHON, FilteredValue, apply_filters
from migrator.mapping.model import ColumnValue, FilterCall, KeyType, Template
from migrator.mapping.values import JSON_NULL, to_text
from migrator.source.schema import Column
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


# ---- proofs


@lru_cache(maxsize=1024)
def key_pattern(template: Template) -> re.Pattern[str]:
    """What any text that the template gives looks like: to tell whether an item may be an entity's."""
    return re.compile("".join(re.escape(part) if isinstance(part, str) else ".*" for part in template.parts), re.DOTALL)


def disjoint(one: Template, other: Template) -> bool:
    """No text can come from both: their literal heads or tails contradict each other.

    >>> disjoint(parse_template("USER#{id}"), parse_template("CIRCLE#{id}"))
    True
    >>> disjoint(parse_template("USER#{id}"), parse_template("{email}"))
    False
    """
    if not any(one.columns()) and not any(other.columns()):
        return one.parts != other.parts
    if not any(one.columns()):
        return key_pattern(other).fullmatch(_literal(one)) is None
    if not any(other.columns()):
        return key_pattern(one).fullmatch(_literal(other)) is None
    return _contradict(_end(one, 0), _end(other, 0)) or _contradict(_end(one, -1)[::-1], _end(other, -1)[::-1])


def _contradict(one: str, other: str) -> bool:
    return not one.startswith(other) and not other.startswith(one)


def _literal(template: Template) -> str:
    return "".join(part for part in template.parts if isinstance(part, str))


def _end(template: Template, position: int) -> str:
    part = template.parts[position] if template.parts else ""
    return part if isinstance(part, str) else ""


def proves_unique(
    keys: Iterable[tuple[Template, KeyType]], unique_sets: Iterable[frozenset[str]], columns: dict[str, Column]
) -> bool:
    """Two rows of a file cannot give the same keys: the templates hold a unique set of columns and can be read back.

    A template can be read back when it has one placeholder, beside what its file says; with more, x = 'a#b' and y = 'c'
    may give what x = 'a' and y = 'b#c' give. A filter may merge values, and so may a column without affinity (1 and
    '1') and a key that is a number ('1' and '1.0') or bytes ('a' and x'61').
    """
    shown: set[str] = set()
    for template, key_type in keys:
        placeholders = [column for column in template.columns() if not is_of_file(column)]
        if len(placeholders) != 1 or placeholders[0].filters or key_type == "B":
            continue
        (only,) = placeholders
        affinity = columns[only.column].affinity if only.column in columns else ""
        if only.builtin and only.column == "rowid":
            shown.add("@rowid")
        elif affinity == "INTEGER" or (affinity == "TEXT" and key_type == "S"):
            shown.add(only.column)
    return any(unique <= shown for unique in unique_sets if unique)


def set_apart(templates: Iterable[Template]) -> bool:
    """No text can come from two of these, one for each file: their literal heads tell them apart, or their tails.

    >>> set_apart(map(parse_template, ["a#{id}", "b#{id}"])), set_apart(map(parse_template, ["a{id}", "ab{id}"]))
    (True, False)
    """
    filled = list(templates)
    if any(is_of_file(column) for template in filled for column in template.columns()):
        return False
    if not any(any(template.columns()) for template in filled):
        return len({_literal(template) for template in filled}) == len(filled)
    return _none_begins_another(_end(template, 0) for template in filled) or _none_begins_another(
        _end(template, -1)[::-1] for template in filled
    )


def _none_begins_another(texts: Iterable[str]) -> bool:
    """In their order a text is followed by those that begin with it."""
    return not any(after.startswith(before) for before, after in pairwise(sorted(texts)))
