"""What the schemas of the sources prove of keys: where no two rows can give one, nobody has to look for any that do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from migrator.mapping.key_proofs import disjoint, proves_unique, set_apart
from migrator.mapping.model import TableDefinition, Template
from migrator.mapping.templates import fill
from migrator.run.segment import Unit
from migrator.source.schema import Schema, Table

#: For each item spec of an entity, the templates of the table's key.
Keys = Sequence[Sequence[Template]]


class Keyed(Protocol):
    """What gives items: an entity, or a mapping's fixed items."""

    @property
    def table_number(self) -> int: ...

    @property
    def keys(self) -> Keys: ...


def proved_in_file(unit: Unit, keys: Keys, schema: Schema) -> bool:
    """Each item spec gives unique keys, no two of them meet, and no rule wants a column to be unique."""
    assert unit.read is not None
    assert unit.entity is not None
    relation = unit.read.relation
    columns = {column.name: column for column in relation.columns}
    types = [key.type for key in unit.table.key_attributes]
    unique = list(_unique_sets(schema.table(relation.name) if relation.kind == "table" else None))
    if relation.rowid:
        unique.append(frozenset({"@rowid"}))
    return (
        all(proves_unique(zip(templates, types, strict=True), unique, columns) for templates in keys)
        and not any(_may_meet(one, other) for one, other in itertools.combinations(keys, 2))
        and not any(rule.unique for rule in unit.entity.rules)
    )


def proved_over_files(units: Sequence[Unit], keys: Keys, table: TableDefinition) -> bool:
    """What a template knows of its file sets the keys of each file apart from those of all others."""
    types = [key.type for key in table.key_attributes]
    return len(units) == 1 or all(
        any(
            key_type == "S" and set_apart(fill(template, unit.context.texts) for unit in units)
            for template, key_type in zip(templates, types, strict=True)
        )
        for templates in keys
    )


def may_collide(one: Keyed, other: Keyed) -> bool:
    """Whether two entities may give one key, as far as their templates tell."""
    return one.table_number == other.table_number and any(
        _may_meet(left, right) for left, right in itertools.product(one.keys, other.keys)
    )


def _may_meet(one: Iterable[Template], other: Iterable[Template]) -> bool:
    """Whether the templates of two keys may give one text each."""
    return not any(disjoint(a, b) for a, b in zip(one, other, strict=True))


def _unique_sets(table: Table | None) -> Iterator[frozenset[str]]:
    if table is None:
        return
    if table.primary_key:
        yield frozenset(table.primary_key)
    for index in table.indexes:
        if index.unique and not index.partial and None not in index.columns:
            yield frozenset(name for name in index.columns if name is not None)
