"""Write the code for one attribute of any kind: columns and templates, constants, maps, and child rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from migrator.limits import NESTING_LEVELS
from migrator.mapping.compile_code import Code, Pieces, Slot, entry_slot, member_slot, named_slot
from migrator.mapping.compile_filters import NO_COLUMNS, Columns, write_filters
from migrator.mapping.compile_values import write_attribute, write_placeholder, write_template, write_text
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import AttributeValue, Children, ColumnValue, Constant, Expression, MapOf, Now, Template
from migrator.mapping.reads import RawRows
from migrator.mapping.validate import check_name, check_value
from migrator.mapping.wirevalues import EMPTY_SURPLUS, FILLED_SURPLUS, NAME_CHARACTERS_MAX, wire_value

# Python nests at most 20 loops.
_CHILD_LEVELS_MAX = 8


class NotWorthIt(Exception):
    """A mapping whose rows are all rejected, or that nests absurdly: for the plain renderer alone."""


class Level(Struct, frozen=True):
    """One level of rows, the entity's own or child rows, as generated code finds it."""

    code: Code
    rows: RawRows
    nulls: str
    context: RenderContext
    loops: int = 0
    variables: Sequence[str] = ()  #: those that hold a row
    columns: Columns = NO_COLUMNS

    def unpacked(self, raw: str) -> Level:
        """The same, with what this variable holds in variables of its own."""
        layout, read = self.rows.layout, self.rows.read
        variables = [self.code.variable("c") for _ in range(layout.length)]
        self.code.line(f"{', '.join(variables)}, = {raw}")
        builtins = {name: self.code.constant(text) for name, text in self.context.texts.items()}
        if layout.rowid is not None:
            builtins["rowid"] = variables[layout.rowid]
        named = {column: variables[place] for column, place in self.rows.places.items()}
        affinities = {column.name: column.affinity for column in read.relation.columns}
        return replace(self, variables=variables, columns=Columns(named, affinities, builtins))

    def below(self, child: Children) -> tuple[str, Level]:
        """The variable that holds the rows of this child source, and their level."""
        place, rows = self.rows.below(child)
        return self.variables[place], replace(self, rows=rows, loops=self.loops + 1)


# ---- expressions


def write_expression(
    level: Level, slot: Slot, pieces: Pieces, expression: Expression, name: str, depth: int, *, fixed: bool = True
) -> None:
    """The value of an attribute or member, in its slot. Without `fixed` a constant gets a variable too."""
    code = level.code
    match expression:
        case ColumnValue():
            value = write_filters(code, expression, level.columns)
            write_attribute(code, slot, value, expression.hint, level.nulls, name, depth)
        case Template():
            text = write_template(code, expression, level.columns)
            present = [(f"{text.variable} is not None", lambda: write_text(slot, text.variable))]
            code.choice(present, slot.absent) if text.nullable else present[0][1]()
        case Constant() | Now():
            value_of = expression.value if isinstance(expression, Constant) else _moment(level.context, expression)
            if _write_constant(slot, pieces, value_of, name, depth, fixed=fixed):
                return
        case MapOf(attributes):
            _write_map(level, slot, attributes, depth)
        case Children():
            _write_children(level, slot, expression, name, depth)
    pieces.add(slot)


def _moment(context: RenderContext, now: Now) -> AttributeValue:
    return {"N": str(context.now_s + now.offset_s)}


def _write_constant(slot: Slot, pieces: Pieces, value: AttributeValue, name: str, depth: int, *, fixed: bool) -> bool:
    """Whether the value has become part of the constant bytes."""
    check_value(value, name, depth)
    kind, wire, surplus = wire_value(value)
    if fixed and slot.constant is not None:
        pieces.add_constant(slot, kind, wire, surplus)
        return True
    slot.present(kind, slot.code.constant(wire), surplus)
    return False


def _write_map(level: Level, slot: Slot, attributes: tuple[tuple[str, Expression], ...], depth: int) -> None:
    if depth >= NESTING_LEVELS:
        raise NotWorthIt
    pieces = Pieces()
    for name, expression in attributes:
        check_name(name)
        write_expression(level, named_slot(level.code, name, nested=True), pieces, expression, name, depth + 1)
    level.code.line(f"o += {pieces.surplus}")
    _write_container(slot, "M", pieces.joined(level.code))


def _write_container(slot: Slot, kind: str, joined: str) -> None:
    """A map or list of these members, each of which begins with what closes the one before it."""
    code, members = slot.code, slot.code.variable("m")
    opening, closing = {"M": ("{", "}"), "L": ("[", "]")}[kind]
    code.line(f"{members} = {joined}")
    filled = f"b'{opening}' + {members}[2:] + b'}}{closing}'"
    code.choice(
        [(members, lambda: slot.present(kind, filled, FILLED_SURPLUS))],
        lambda: slot.present(kind, f"b'{opening}{closing}'", EMPTY_SURPLUS),
    )


# ---- child rows


def _write_children(level: Level, slot: Slot, child: Children, name: str, depth: int) -> None:
    if depth >= NESTING_LEVELS or level.loops >= _CHILD_LEVELS_MAX:
        raise NotWorthIt
    rows, own = level.below(child)
    write = {"list": _write_list, "one": _write_one, "entries": _write_entries}[child.shape]
    write(own, rows, slot, child, name, depth)


def _write_list(level: Level, rows: str, slot: Slot, child: Children, name: str, depth: int) -> None:
    expression = child.value or MapOf(child.attributes)

    def write_member(own: Level, pieces: Pieces) -> None:
        write_expression(own, member_slot(own.code), pieces, expression, name, depth + 1)

    _write_container(slot, "L", _write_loop(level, rows, write_member))


def _write_entries(level: Level, rows: str, slot: Slot, child: Children, name: str, depth: int) -> None:
    code, (called, value) = level.code, (child.name, child.value)
    assert called is not None
    assert value is not None
    seen = code.variable("s")
    code.line(f"{seen} = set()")

    def write_entry(own: Level, pieces: Pieces) -> None:
        given, text = write_placeholder(code, write_filters(code, called, own.columns)), code.variable("t")
        code.line(f'{text} = f"{{{given}}}"')
        code.odd_if(f"{given} is None or not 0 < len({text}) <= {NAME_CHARACTERS_MAX} or {text} in {seen}")
        code.line(f"{seen}.add({text})")
        write_expression(own, entry_slot(code, text), pieces, value, name, depth + 1)

    _write_container(slot, "M", _write_loop(level, rows, write_entry))


def _write_loop(level: Level, rows: str, write_member: Callable[[Level, Pieces], None]) -> str:
    """An expression for the members that the child rows give."""
    code = level.code
    row, members = code.variable("r"), code.variable("p")
    code.line(f"{members} = []")
    with code.block(f"for {row} in {rows}"):
        pieces = Pieces()
        write_member(level.unpacked(row), pieces)
        code.line(f"{members}.append({pieces.joined(code)})")
        code.line(f"o += {pieces.surplus}")
    return f'b"".join({members})'


def _write_one(level: Level, rows: str, slot: Slot, child: Children, name: str, depth: int) -> None:
    level.code.odd_if(f"len({rows}) > 1")

    def write_row() -> None:
        _write_map(level.unpacked(f"{rows}[0]"), slot, child.attributes, depth)

    level.code.choice([(rows, write_row)], slot.absent)
