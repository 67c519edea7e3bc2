"""The language of attributes: `column|filter`, {value: …}, {template: …}, {map: …}, {list: …} and the rest.

YAML takes a template's braces for a map and its # for a comment; where that has happened, the error says to quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Literal, NoReturn, TypeVar

from migrator.errors import RowRejected, known_names
from migrator.mapping.filters import check_call
from migrator.mapping.model import (
    AttributeValue,
    Children,
    ColumnValue,
    Constant,
    Expression,
    KeyType,
    MapOf,
    Now,
    SourceSpec,
    Template,
)
from migrator.mapping.tabledef import check_attribute_name
from migrator.mapping.templates import TemplateError, parse_column, parse_template
from migrator.mapping.values import number_text
from migrator.node import Node, describe

T = TypeVar("T")

CHILD_KEYS = ("source", "match", "where", "order_by")
SOURCE_KEYS = ("query", "table", "key")
_OF_FILE = re.compile(r"\{\s*@\w+")
_OFFSET = re.compile(r"([+-]?\d+)([dhm])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60}


# ---- columns and templates


def read_column(node: Node) -> ColumnValue:
    """`email|trim|lower`"""
    column = _parsed(node, parse_column, _template_text(node))
    _check_filters(node, [column])
    return column


def read_template(node: Node) -> Template:
    """`USER#{user_id}`"""
    template = _parsed(node, parse_template, _template_text(node))
    _check_filters(node, template.columns())
    return template


def read_key_template(node: Node, key_type: KeyType) -> Template:
    """A template for a key; of a number key also a plain number."""
    if key_type == "N" and isinstance(node.value, int | Decimal) and not isinstance(node.value, bool):
        return Template((str(node.value),), str(node.value))
    return read_template(node)


def _parsed(node: Node, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except TemplateError as error:
        if parse is parse_column and "{" in text:
            node.refuse("names a column, and is a template", f"write {{template: {describe(text)}}}")
        node.refuse(str(error))


def _check_filters(node: Node, columns: Iterable[ColumnValue]) -> None:
    problems = [check_call(call) for column in columns for call in column.filters]
    for problem in filter(None, problems):
        node.note(problem)


def _template_text(node: Node) -> str:
    """The text of a template, or the advice to quote it."""
    if isinstance(node.value, dict):
        _refuse_braces(node)
    if node.value is None:
        node.refuse("is empty: to YAML, # begins a comment and {} a map", 'quote a template, as in "#META"')
    if isinstance(node.value, list):
        node.refuse("is a list, and must be text", 'quote a template, as in "USER#{id}"')
    return node.text()


def _refuse_braces(node: Node) -> NoReturn:
    keys = list(node.value)
    example = "{" + keys[0] + "}" if len(keys) == 1 and node.value[keys[0]] is None else "USER#{id}"
    node.refuse("is a map: to YAML, { } is a map", f"quote a template, as in {node.key}: {describe(example)}")


# ---- constants


def to_constant(value: Any) -> AttributeValue:
    """A YAML value as an attribute value. Raises RowRejected for a number out of DynamoDB's range.

    >>> to_constant({"n": [1, Decimal("0.1"), True, None]})
    {'M': {'n': {'L': [{'N': '1'}, {'N': '0.1'}, {'BOOL': True}, {'NULL': True}]}}}
    """
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case list():
            return {"L": [to_constant(member) for member in value]}
        case dict():
            return {"M": {str(name): to_constant(member) for name, member in value.items()}}
        case _:
            return {"N": number_text(value)}


def read_constant(node: Node) -> Constant:
    try:
        return Constant(to_constant(node.value))
    except RowRejected as error:
        node.refuse(error.detail)


def read_now(node: Node) -> Now:
    """`+365d`: seconds from the run's start."""
    offset = _OFFSET.fullmatch(node.value) if isinstance(node.value, str) else None
    if offset is None:
        node.refuse(f"is a time from the run's start, as +365d, -12h or +30m, and is {describe(node.value)}")
    return Now(int(offset[1]) * _SECONDS[offset[2]])


def read_fixed(node: Node) -> Constant | Now:
    """An attribute of a fixed item: a plain value, {now: +365d}, or {value: …} for a map that looks like either."""
    check_attribute_name(node, node.key)
    if isinstance(node.value, dict) and len(node.value) == 1:
        if "now" in node.value:
            return read_now(node.child("now"))
        if "value" in node.value:
            return read_constant(node.child("value"))
    if isinstance(node.value, str) and (name := _OF_FILE.search(node.value)):
        node.refuse(
            f"names {name[0]}, and a fixed item is written once, for no file",
            "make it an entity's item; or, for this very text, write {value: …}",
        )
    return read_constant(node)


def constant_key_problem(value: Expression, key_type: KeyType) -> str | None:
    """Why a fixed item's value cannot be a key of that type."""
    if key_type == "B":
        return "a fixed item has no binary values, and this key is of type B"
    given: AttributeValue = value.value if isinstance(value, Constant) else {"N": "0"}
    if key_type not in given:
        return f"this key is of type {key_type}, and the value of type {next(iter(given))}"
    return "a key cannot be empty" if given[key_type] == "" else None


# ---- sources and children


def read_source(node: Node) -> SourceSpec:
    """`users`, {query: …, key: […]}, or {table: …, key: […]} for a view whose key nothing declares."""
    if node.value == "":
        return SourceSpec(table="")  # SQLite has tables of that name
    if not isinstance(node.value, dict):
        return SourceSpec(table=_table_name(node))
    fields = node.fields(*SOURCE_KEYS)
    query = fields.get("query", Node.text, None)
    table = fields.get("table", _table_name, None)
    read_key = fields.need if "query" in fields else lambda key, read: fields.get(key, read, ())
    key = read_key("key", read_names)
    if ("query" in fields) == ("table" in fields):
        fields.fail("a source is a query or a table", "write source: users, or {query: SELECT …, key: [id]}")
    fields.finish()
    return SourceSpec(table, query, key)


def _table_name(node: Node) -> str:
    """A table of SQLite's may have no name."""
    return node.text(may_be_empty=True)


def read_names(node: Node) -> tuple[str, ...]:
    """One name, or a list of them."""
    if isinstance(node.value, str):
        return (node.text(),)
    names = node.each(Node.text)
    if not names:
        node.refuse("names nothing")
    return names


def _children(shape: Literal["list", "one", "entries"], *own: str) -> Callable[[Node], Children]:
    def read(node: Node) -> Children:
        fields = node.fields(*CHILD_KEYS, *own)
        source = fields.need("source", read_source)
        match = fields.need("match", _match)
        where = fields.get("where", Node.text, None)
        order_by = fields.get("order_by", Node.text, None)
        attributes = fields.get("attributes", read_attributes, ()) if "attributes" in own else ()
        value = fields.get("value", read_expression, None) if "value" in own else None
        name = fields.need("name", read_column) if "name" in own else None
        missing = [key for key in ("attributes", "value") if key in own and key not in fields]
        if shape == "list" and len(missing) != 1:
            fields.fail("a list has either attributes: (a list of maps) or value: (a list of scalars)")
        elif shape != "list" and missing:
            fields.fail(f'the key "{missing[0]}" is missing')
        fields.finish()
        return Children(shape, source, match, where, order_by, attributes, value, name)

    return read


def _match(node: Node) -> tuple[tuple[str, str], ...]:
    match = node.each_named(Node.text)
    if not match:
        node.refuse("names no columns", "write match: {child_column: parent_column}")
    return match


# ---- attributes


def read_attributes(node: Node) -> tuple[tuple[str, Expression], ...]:
    """A map of attribute name -> expression."""
    return node.each_named(_named_expression)


def _named_expression(node: Node) -> Expression:
    check_attribute_name(node, node.key)
    return read_expression(node)


def read_expression(node: Node) -> Expression:
    if not isinstance(node.value, dict):
        if isinstance(node.value, bool | int | Decimal):
            value = describe(node.value)
            node.refuse(f"names a column, and is {value}", f"for a constant write {{value: {value}}}")
        return read_column(node)
    forms = [key for key in node.value if key in FORMS]
    if not forms and any(value is None for value in node.value.values()):
        _refuse_braces(node)
    if len(node.value) != 1 or not forms:
        unknown = next((key for key in node.value if key not in FORMS), None)
        if unknown is not None:
            node.refuse(f'unknown key "{unknown}"', known_names("known", FORMS, unknown))
        node.refuse(f"is one of {', '.join(FORMS)}, and has {len(node.value)} keys")
    return FORMS[forms[0]](node.child(forms[0]))


#: The one key of an attribute written as a map -> how its value is read.
FORMS: dict[str, Callable[[Node], Expression]] = {
    "value": read_constant,
    "template": read_template,
    "map": lambda node: MapOf(read_attributes(node)),
    "list": _children("list", "attributes", "value"),
    "one": _children("one", "attributes"),
    "entries": _children("entries", "name", "value"),
    "now": read_now,
}
