"""Write the code for one attribute or template: a form for each type that a value may have.

What is ordinary is written out; everything else is a call, or leaves the row to the plain renderer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

from msgspec import Struct

from migrator.mapping.compile_code import Code, Forms, Slot
from migrator.mapping.compile_filters import INTEGER, NULL, TEXT, Columns, Value, write_filters
from migrator.mapping.model import Template
from migrator.mapping.values import JsonNull
from migrator.mapping.wirevalues import FALSE_SURPLUS, TRUE_SURPLUS, USUAL_INTEGERS_BELOW

# ---- attributes


def write_attribute(code: Code, slot: Slot, value: Value, hint: str, nulls: str, name: str, depth: int) -> None:
    """The value by its type. `depth` counts the maps and lists around it."""
    x = value.variable
    order = sorted(filter(value.may_be, _FORMS), key=lambda kind: kind is not value.first)
    forms: Forms = [(_is(kind, x), partial(_FORMS[kind], slot, x)) for kind in order]
    if value.may_be(NULL):
        forms.insert(1, (f"{x} is None", partial(_write_null, slot, nulls)))
    call = f"any_value({x}, {hint!r}, {code.constant(name)}, {depth})"
    forms = [*_hinted(slot, x, hint, call), *forms]
    if value.types is None:
        code.choice(forms, lambda: _write_any(slot, call))
    elif value.types - {*_FORMS, NULL}:
        code.choice(forms, lambda: code.line("raise Odd"))
    else:  # These are all: the last needs no asking.
        code.choice(forms[:-1], forms[-1][1])


def _write_null(slot: Slot, nulls: str) -> None:
    if nulls == "keep":
        slot.present("NULL", "b'true'", TRUE_SURPLUS)
    else:
        slot.absent()


def _is(kind: type, x: str) -> str:
    return f"{x} is JSON_NULL" if kind is JsonNull else f"type({x}) is {kind.__name__}"


def _write_any(slot: Slot, call: str) -> None:
    code = slot.code
    kind, value, surplus = (code.variable("a") for _ in range(3))
    code.line(f"{kind}, {value}, {surplus} = {call}")
    slot.present_any(kind, value, surplus)


def write_text(slot: Slot, x: str) -> None:
    slot.present("S", f"dumps({x})")


def _write_integer(slot: Slot, x: str) -> None:
    def write_usual() -> None:
        text = slot.code.variable("t")
        slot.code.line(f"{text} = str({x})")
        write_digits(slot, text)

    slot.code.choice([(usual_integer(x), write_usual)], partial(_write_number, slot, x))


def usual_integer(x: str) -> str:
    """A condition: an integer of the many whose digits need no look."""
    return f"0 <= {x} < {USUAL_INTEGERS_BELOW}"


def write_digits(slot: Slot, text: str) -> None:
    """The text of such an integer."""
    slot.present("N", f"dumps({text})", f'INTEGER_SURPLUS[len({text})][len({text}.rstrip("0"))]')


def _write_number(slot: Slot, x: str) -> None:
    _write_pair("N", "number", slot, x)


def _write_pair(kind: str, function: str, slot: Slot, x: str) -> None:
    value, surplus = slot.code.variable("n"), slot.code.variable("n")
    slot.code.line(f"{value}, {surplus} = {function}({x})")
    slot.present(kind, value, surplus)


def _write_boolean(slot: Slot, x: str) -> None:
    true = partial(slot.present, "BOOL", "b'true'", TRUE_SURPLUS)
    slot.code.choice([(x, true)], partial(slot.present, "BOOL", "b'false'", FALSE_SURPLUS))


_FORMS: Mapping[type, Callable[[Slot, str], None]] = {
    str: write_text,
    int: _write_integer,
    float: partial(_write_pair, "N", "real"),
    bool: _write_boolean,
    Decimal: _write_number,
    bytes: partial(_write_pair, "B", "binary"),
    JsonNull: lambda slot, x: slot.present("NULL", "b'true'", TRUE_SURPLUS),
}


def _hinted(slot: Slot, x: str, hint: str, call: str) -> Forms:
    """What a hint makes of a raw value that it takes for what was certainly meant."""
    any_of = partial(_write_any, slot, call)
    hinted: Mapping[str, Forms] = {
        "": [],
        "bool": [(f"type({x}) is int and 0 <= {x} <= 1", partial(_write_boolean, slot, x))],
        "json": [(f"type({x}) is str and {x}.lstrip().startswith(JSON_BEGINS)", any_of)],
        "number": [(f"type({x}) is str and is_canonical({x})", partial(_write_number, slot, x))],
    }
    return hinted[hint]


# ---- templates


class Text(Struct, frozen=True):
    """A variable that holds a template's text, or None where a placeholder is NULL."""

    variable: str
    nullable: bool
    sole: Value | None  #: the only placeholder, where there is nothing else


def write_template(code: Code, template: Template, columns: Columns) -> Text:
    parts: list[str] = []
    nullable: list[str] = []
    sole = None
    for part in template.parts:
        if isinstance(part, str):
            parts.append(code.constant(part))
            continue
        sole = write_filters(code, part, columns)
        parts.append(write_placeholder(code, sole))
        if sole.may_be(NULL) or sole.may_be(JsonNull):
            nullable.append(parts[-1])
    text = code.variable("t")
    joined = 'f"' + "".join(f"{{{part}}}" for part in parts) + '"'
    missing = " or ".join(f"{part} is None" for part in nullable)
    code.line(f"{text} = None if {missing} else {joined}" if missing else f"{text} = {joined}")
    return Text(text, bool(nullable), sole if len(parts) == 1 else None)


def write_placeholder(code: Code, value: Value) -> str:
    """A placeholder's variable, which holds text, an integer or None."""
    if value.types in (TEXT, INTEGER):
        return value.variable
    placeholder, x = code.variable("y"), value.variable
    plain = f"type({x}) is str or type({x}) is int"
    code.line(f"{placeholder} = {x} if {plain} else text_of({x})")
    return placeholder
