"""A table for each entity: its own columns for keys where they can be, an index for each way to look rows up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct, field

from migrator.advise.design import Asked, EntityDesign, EntityItem, IndexDesign, KeyDesign, PatternDesign, TableDesign
from migrator.advise.suggest_entities import (
    PAST,
    attributes_of,
    can_ask_by_key,
    entity_name,
    sql_for,
    ttl_name,
    ttl_note,
    value_notes,
)
from migrator.advise.suggest_facts import ColumnFacts, TableFacts
from migrator.advise.suggest_keys import (
    Names,
    RowKey,
    column_parts,
    column_text,
    joined,
    key_parts,
    key_word,
    part_notes,
    row_key,
)
from migrator.advise.suggest_lookups import Lookup, lookups
from migrator.advise.suggest_source import Expiry, Source
from migrator.limits import GLOBAL_INDEXES, KEY_ATTRIBUTE_NAME_BYTES, PARTITION_KEY_BYTES, SORT_KEY_BYTES

_TABLE_NAME_CHARACTERS = 255
_INDEX_NAME_CHARACTERS = 200


def table_per_entity(source: Source, table_name: str) -> list[TableDesign]:
    """`table_name` is what the tables' names begin with."""
    names, entities = Names(), Names()
    tables = []
    for facts in source.facts.values():
        entity = entity_name(facts.table, entities)
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", entity)
        room = _TABLE_NAME_CHARACTERS - len(table_name) - 8
        name = names.new(f"{table_name}-{plain[: max(room, 1)]}")
        taken = Names({column.name for column in facts.columns})
        tables.append(_Table(source, facts, entity, row_key(facts), taken).design(name))
    return tables


class _Table(Struct):
    source: Source
    facts: TableFacts
    entity: str
    key: RowKey
    names: Names  #: of attributes
    keyed: set[str] = field(default_factory=set)  #: columns that are keys as they are
    used: set[str] = field(default_factory=set)  #: columns in other templates
    templates: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    indexes: list[IndexDesign] = field(default_factory=list)
    patterns: list[PatternDesign] = field(default_factory=list)

    def design(self, name: str) -> TableDesign:
        self.reasons.append(self.key.reason)
        keys = self._keys()
        if can_ask_by_key(self.source, self.facts, self.key):
            sql = sql_for(self.facts, self.key, self.key.columns)
            self._ask(f"{self.entity} by key", [key.name for key in keys], sql)
        covered = {frozenset(self.key.columns)} if self.key.is_primary else set()
        for lookup in lookups(self.source, self.facts, covered):
            self._index(lookup, keys)
        expiry = self.source.expiries.get(self.facts.table.name)
        ttl = ttl_name([self.facts], self.source.expiries) if expiry else None
        return TableDesign(
            name=name,
            keys=tuple(keys),
            entities=(self._entity(expiry, ttl),),
            indexes=tuple(self.indexes),
            patterns=tuple(self.patterns),
            time_to_live=None if expiry and expiry.past else ttl,
            reasons=(PAST.format(ttl),) if expiry and expiry.past and ttl else (),
        )

    # ---- keys

    def _keys(self) -> list[KeyDesign]:
        facts = self.facts
        if self.key.by == "rowid":
            name = self.names.new("rowid")
            self.templates[name] = "{@rowid}"
            return [KeyDesign(name, "N")]
        columns = [facts.column(name) for name in self.key.columns]
        limits = (PARTITION_KEY_BYTES, SORT_KEY_BYTES)
        if len(columns) in (1, 2) and all(map(_is_natural, columns, limits)):
            return [self._natural(column) for column in columns]
        word = key_word(facts.table.name)
        parts = key_parts(facts, self.key, sort=False, word=word)
        self.reasons += part_notes(columns, parts)
        return [self._made("PK", joined(word, parts), self.key.columns)]

    def _natural(self, column: ColumnFacts) -> KeyDesign:
        """The column itself as the key attribute."""
        self.keyed.add(column.name)
        self.templates[column.name] = f"{{{column_text(column.name)}}}"
        return KeyDesign(column.name, "N" if column.kind == "integer" else "S")

    def _made(self, name: str, template: str, columns: Sequence[str]) -> KeyDesign:
        name = self.names.new(name)
        self.templates[name] = template
        self.used.update(columns)
        return KeyDesign(name)

    def _index(self, lookup: Lookup, keys: Sequence[KeyDesign]) -> None:
        if lookup.is_empty:
            self.reasons.append(f"no index on {lookup.label}: no row has a value")
            return
        if len(self.indexes) == GLOBAL_INDEXES:
            self.reasons.append(f"{GLOBAL_INDEXES} indexes are the most, so none is on {lookup.label}")
            return
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", f"by_{'_'.join(lookup.names)}")[:_INDEX_NAME_CHARACTERS]
        name = Names({index.name for index in self.indexes}).new(plain)
        if len(lookup.columns) == 1 and not lookup.folded and _is_natural(lookup.columns[0], PARTITION_KEY_BYTES):
            partition = self._natural(lookup.columns[0])
        else:
            word = key_word("_".join(lookup.names))
            parts = column_parts(lookup.columns, sort=False, word=word, folded=lookup.folded)
            self.reasons += part_notes(lookup.columns, parts)
            partition = self._made(f"{name}_PK", joined(word, parts), lookup.names)
        sort = keys[0] if keys[0].name != partition.name and self._fits_sort(keys[0]) else None
        self.indexes.append(IndexDesign(name, partition, sort))
        self.reasons.append(f"{name}: {lookup.why}")
        if lookup.found:
            sql = sql_for(self.facts, self.key, lookup.names, lookup.folded)
            self._ask(lookup.question(self.entity), [partition.name], sql, name)

    def _fits_sort(self, key: KeyDesign) -> bool:
        """A key may have 2048 bytes as a partition key and 1024 as a sort key."""
        return key.name not in self.keyed or self.facts.column(key.name).longest_bytes <= SORT_KEY_BYTES

    # ---- the rest

    def _ask(self, name: str, attributes: Sequence[str], sql: str | None, index: str | None = None) -> None:
        asked = tuple(Asked(attribute, self.templates[attribute]) for attribute in attributes)
        self.patterns.append(PatternDesign(name, self.entity, asked, index, sql))

    def _entity(self, expiry: Expiry | None, ttl: str | None) -> EntityDesign:
        own = []
        if expiry and ttl:
            own = [(ttl, f"{column_text(expiry.column)}|epoch")]
            self.used.add(expiry.column)
            self.reasons.append(ttl_note(ttl, expiry))
        taken = {name for name in self.templates if name not in self.keyed} | {name for name, _ in own}
        return EntityDesign(
            name=self.entity,
            source=self.facts.table.name,
            rows=self.facts.rows,
            items=(EntityItem(tuple(self.templates.items())),),
            attributes=(*attributes_of(self.facts, self.used, taken, self.keyed), *own),
            left_out=tuple(column.name for column in self.facts.columns if column.error),
            reasons=(*dict.fromkeys(self.reasons), *value_notes(self.facts)),
        )


def _is_natural(column: ColumnFacts, limit_bytes: int) -> bool:
    """Whether the column's own values can be a key: of one type, not empty, not too long."""
    named = 0 < len(column.name.encode()) <= KEY_ATTRIBUTE_NAME_BYTES
    fits = column.kind == "text" and not column.empty and column.longest_bytes <= limit_bytes
    return named and (column.kind == "integer" or fits)
