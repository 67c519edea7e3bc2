"""Conditions on attributes: filled in with values, and judged by DynamoDB's own rules of comparison.

What is asked of a key is rendered as keys are: question and item only differ where the mapping makes them differ.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from migrator.errors import RowRejected
from migrator.mapping.canonical import canonical_bytes
from migrator.mapping.key_proofs import disjoint
from migrator.mapping.keys import key_renderer
from migrator.mapping.model import (
    Attributes,
    AttributeValue,
    ColumnValue,
    Comparison,
    Condition,
    ItemSpec,
    KeyAttribute,
    Operand,
    Template,
)
from migrator.mapping.templates import Lookup, column_value, render_text
from migrator.mapping.validate import check_asked_key
from migrator.mapping.values import number_text, to_attribute_value


class Asked(Struct, frozen=True):
    """A condition with its values: two for `between`, which includes both, else one."""

    attribute: str
    comparison: Comparison
    values: tuple[AttributeValue, ...]


class NoQuestion(Exception):
    """With these values there is nothing that DynamoDB lets one ask; the text says why."""


def ask_key(condition: Condition, key: KeyAttribute, lookup: Lookup, *, partition: bool) -> Asked:
    """The condition on a key. Raises NoQuestion."""

    def value(operand: Operand) -> AttributeValue:
        assert isinstance(operand, Template)  # as `mapping.patterns` reads keys
        rendered = key_renderer(key.name, operand, key.type, required=True)(lookup)
        assert rendered is not None  # a required key rejects
        check_asked_key(rendered, key, partition=partition)
        return rendered

    return _ask(condition, value)


def ask_filter(condition: Condition, lookup: Lookup) -> Asked:
    """The condition on any attribute. Raises NoQuestion."""
    return _ask(condition, lambda operand: _operand_value(operand, condition.attribute, lookup))


def _ask(condition: Condition, value_of: Callable[[Operand], AttributeValue]) -> Asked:
    try:
        values = [value_of(operand) for operand in condition.operands]
    except RowRejected as reject:
        raise NoQuestion(reject.detail) from reject
    kinds = [next(iter(value)) for value in values]
    if not set(kinds) <= _KINDS[condition.comparison] or len(set(kinds)) > 1:
        raise NoQuestion(f"{condition.comparison} does not compare {' and '.join(kinds)}")
    # "BETWEEN" — API reference: the upper bound must not be less than the lower
    if condition.comparison == "between" and _ordered(values[0]) > _ordered(values[1]):
        raise NoQuestion(f"{condition.attribute} between: the lower value comes second")
    return Asked(condition.attribute, condition.comparison, tuple(values))


def _operand_value(operand: Operand, attribute: str, lookup: Lookup) -> AttributeValue:
    value: AttributeValue | None
    match operand:
        case bool():
            return {"BOOL": operand}
        case Template((ColumnValue() as single,)):
            value = to_attribute_value(column_value(single, lookup), single.hint)
        case Template():
            text = render_text(operand, lookup)
            value = None if text is None else {"S": text}
        case _:
            return {"N": number_text(operand)}
    if value is None:
        raise NoQuestion(f"{attribute} is compared with NULL")
    return value


# ---- DynamoDB's rules: only values of one type compare, numbers by value, text and binary by their bytes

_SCALARS = frozenset({"S", "N", "B"})
_ANY = _SCALARS | {"BOOL", "NULL", "SS", "NS", "BS", "L", "M"}
#: "Operators and functions" — API reference of condition expressions: the types that each comparison takes
_KINDS: Mapping[Comparison, frozenset[str]] = {
    "eq": _ANY,
    "lt": _SCALARS,
    "le": _SCALARS,
    "gt": _SCALARS,
    "ge": _SCALARS,
    "begins_with": frozenset({"S", "B"}),
    "between": _SCALARS,
}
_ORDERED: Mapping[str, Callable[[Any], Any]] = {"S": str.encode, "N": Decimal, "B": bytes}


def _ordered(value: AttributeValue) -> Any:
    ((kind, content),) = value.items()
    return _ORDERED[kind](content)


def holds(asked: Asked, attributes: Attributes) -> bool:
    """Whether an item fulfils the condition; one without the attribute never does.

    >>> below_ten = Asked("n", "lt", ({"N": "10"},))
    >>> [holds(below_ten, item) for item in ({"n": {"N": "9"}}, {"n": {"S": "9"}}, {})]
    [True, False, False]
    """
    value = attributes.get(asked.attribute)
    if value is None or value.keys() != asked.values[0].keys():
        return False
    return _HOLDS[asked.comparison](value, *asked.values)


def _by_order(compare: Callable[[Any, Any], bool]) -> Callable[[AttributeValue, AttributeValue], bool]:
    return lambda value, other: compare(_ordered(value), _ordered(other))


_HOLDS: Mapping[Comparison, Callable[..., bool]] = {
    "eq": lambda value, other: canonical_bytes(value) == canonical_bytes(other),
    "lt": _by_order(operator.lt),
    "le": _by_order(operator.le),
    "gt": _by_order(operator.gt),
    "ge": _by_order(operator.ge),
    "begins_with": _by_order(lambda value, prefix: value.startswith(prefix)),
    "between": lambda value, low, high: _ordered(low) <= _ordered(value) <= _ordered(high),
}


# ---- what templates tell

_WILDCARD = ColumnValue("")


def may_answer(spec: ItemSpec, keys: Iterable[KeyAttribute], conditions: Iterable[Condition]) -> bool:
    """Whether an item of this spec may be in what has these `keys` and fulfil the conditions on them.

    Told by the templates alone: values would call an item that lacks its index key no answer.
    """
    templates = dict(spec.key)
    types = {key.name: key.type for key in keys}
    return types.keys() <= templates.keys() and all(
        _may_be(templates[condition.attribute], condition)
        for condition in conditions
        # Numbers have many texts, so the texts of their templates contradict nothing.
        if types[condition.attribute] != "N"
    )


def _may_be(template: Template, condition: Condition) -> bool:
    asked = condition.operands[0]
    assert isinstance(asked, Template)  # as `mapping.patterns` reads keys
    match condition.comparison:
        case "eq":
            return not disjoint(template, asked)
        case "begins_with":
            return not disjoint(template, Template((*asked.parts, _WILDCARD)))
        case _:
            return True
