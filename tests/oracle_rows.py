"""What rows must become where a mapping does nothing but name their key: a plain, slow rendering of one SQLite file.

Independent of the migrator: sqlite3 and the standard library. Rows that cannot be items are named with the code that
docs/rejects.md gives them.
"""

from __future__ import annotations

import base64
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from oracle_madmall import comparable

Cell = tuple[str, Any]  #: SQLite's typeof() and the value, text as bytes
Reject = tuple[str, str, str]  #: entity, the source row's key as JSON, code

#: Developer guide, "Supported data types and naming rules": the positive range of a number.
LARGEST, SMALLEST = Decimal("9.9999999999999999999999999999999999999E+125"), Decimal("1E-130")


@dataclass(frozen=True)
class Entity:
    """One item a row: PK is `prefix#key`, and every other column an attribute under its own name."""

    name: str
    source: str
    key: str
    prefix: str = "K"
    primary_key: str = ""  #: of the source, where that is another column than the item's key

    def mapping(self) -> dict[str, Any]:
        return {"source": self.source, "key": {"PK": f"{self.prefix}#{{{_quoted(self.key)}}}"}}

    @property
    def ordered_by(self) -> str:
        return self.primary_key or self.key


@dataclass
class Expected:
    items: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    rejects: Counter[Reject] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        return 1 if self.rejects else 0


class CannotBe(Exception):
    """The row is no item; the text is the code."""


def expected_of(paths: Path | Sequence[Path], *entities: Entity) -> Expected:
    """Entities in their order, then files, then rows by their key: the first to give a key has it."""
    expected = Expected()
    for entity, path in product(entities, [paths] if isinstance(paths, Path) else paths):
        for cells in _rows(path, entity):
            expected.read[entity.name] += 1
            try:
                item = _item(entity, cells)
                key = (item["PK"]["S"],)
                if _compared(expected.items.setdefault(key, item)) != _compared(item):
                    raise CannotBe("duplicate_key")
            except CannotBe as reason:
                row = json.dumps({entity.ordered_by: source_key(cells[entity.ordered_by])})
                expected.rejects[entity.name, row, str(reason)] += 1
    return expected


def _compared(item: dict[str, Any]) -> dict[str, Any]:
    """-1 and -1.0 are one number, so that rows with either give equal items."""
    return {name: comparable(value) for name, value in item.items()}


def source_key(cell: Cell) -> dict[str, Any]:
    """A key as the reject file writes it."""
    kind, value = cell
    match kind:
        case "null":
            return {"NULL": True}
        case "blob":
            return {"B": base64.b64encode(value).decode()}
        case "text":
            try:
                return {"S": value.decode()}
            except UnicodeDecodeError:
                return {"hex": value.hex()}
        case _:
            return {"N": repr(value)}


def _rows(path: Path, entity: Entity) -> Iterator[dict[str, Cell]]:
    table, order = _quoted(entity.source), _quoted(entity.ordered_by)
    with closing(sqlite3.connect(path)) as connection:
        names = [column[0] for column in connection.execute(f"SELECT * FROM {table} LIMIT 0").description]
        connection.text_factory = bytes
        columns = ", ".join(f"typeof({_quoted(name)}), {_quoted(name)}" for name in names)
        for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}"):
            yield {name: (row[2 * n].decode(), row[2 * n + 1]) for n, name in enumerate(names)}


def _item(entity: Entity, cells: dict[str, Cell]) -> dict[str, Any]:
    key = {"PK": {"S": f"{entity.prefix}#{_in_text(cells[entity.key])}"}}  # its problem goes before the others'
    return key | {name: _wire(cell) for name, cell in cells.items() if name != entity.key and cell[0] != "null"}


def _in_text(cell: Cell) -> str:
    kind, value = cell
    if kind == "null":
        raise CannotBe("null_key")
    if kind == "blob":
        raise CannotBe("blob_in_template")
    return _text(value) if kind == "text" else repr(value)


def _wire(cell: Cell) -> dict[str, Any]:
    kind, value = cell
    match kind:
        case "text":
            return {"S": _text(value)}
        case "blob":
            return {"B": value}
        case "real":
            return {"N": str(_number(value))}
        case _:
            return {"N": str(value)}


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise CannotBe("invalid_utf8") from error


def _number(value: float) -> Decimal:
    if not math.isfinite(value):
        raise CannotBe("number_not_finite")
    exact = Decimal(repr(value))
    if exact and not SMALLEST <= abs(exact) <= LARGEST:
        raise CannotBe("number_out_of_range")
    return exact


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
