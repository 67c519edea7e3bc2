"""An entity in the making: what is decided about it, table by table, until a design is made of it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from migrator.advise.design import Asked, Embedding, EntityDesign, EntityItem, PatternDesign
from migrator.advise.suggest_entities import attributes_of, value_notes
from migrator.advise.suggest_facts import TableFacts
from migrator.advise.suggest_keys import ROWID, Names, Part, RowKey, column_parts, joined, key_parts, part_notes
from migrator.advise.suggest_relations import Link


class Draft(Struct):
    """What is decided about one entity so far."""

    name: str
    word: str
    facts: TableFacts
    key: RowKey
    items: list[dict[str, str]] = field(default_factory=list)
    used: dict[str, None] = field(default_factory=dict)  #: columns in templates
    reasons: list[str] = field(default_factory=list)
    offers: list[Embedding] = field(default_factory=list)
    patterns: list[PatternDesign] = field(default_factory=list)
    indexes: int = 0
    ttl: tuple[str, str] | None = None

    def template(self, word: str, parts: Sequence[Part]) -> str:
        """A key's text; its columns count as used."""
        self.used.update(dict.fromkeys(part.column for part in parts if part.column != ROWID))
        return joined(word, parts)

    def sort_parts(self, without: Sequence[str]) -> tuple[Part, ...]:
        """What tells the children of one parent apart."""
        if not self.key.is_primary:
            return key_parts(self.facts, self.key, sort=True, word=self.word)
        columns = [self.facts.column(name) for name in self.key.columns if name not in without]
        parts = column_parts(columns, sort=True, word=self.word)
        self.reasons += [note for note in part_notes(columns, parts, sort=True) if note not in self.reasons]
        return parts

    def add_index(self, partition: str, sort: str) -> tuple[str, list[Asked]]:
        """Its next shared index, and what is asked of it: other entities may stand in the same partition."""
        self.indexes += 1
        index = f"GSI{self.indexes}"
        self.items[0] |= {f"{index}PK": partition, f"{index}SK": sort}
        begins = sort.startswith(f"{self.word}#")
        own = Asked(f"{index}SK", f"{self.word}#" if begins else sort, begins)
        return index, [Asked(f"{index}PK", partition), own]

    def finished(self, taken: set[str]) -> EntityDesign:
        """The design of it; attributes may not be called as one of `taken` is."""
        own = {self.ttl[0]} if self.ttl else set()
        attributes = attributes_of(self.facts, self.used, taken | own)
        return EntityDesign(
            name=self.name,
            source=self.facts.table.name,
            rows=self.facts.rows,
            items=tuple(EntityItem(tuple(item.items())) for item in self.items),
            attributes=(*attributes, *([self.ttl] if self.ttl else [])),
            left_out=tuple(column.name for column in self.facts.columns if column.error),
            reasons=(*dict.fromkeys(self.reasons), *value_notes(self.facts)),
            offers=tuple(self.offers),
        )

    def embedded_in(self, parent: Draft, link: Link) -> Embedding:
        """How its rows would stand in their parent's item instead."""
        match = tuple(zip(link.key.columns, link.key.parent_columns, strict=True))
        attributes = attributes_of(self.facts, {column.name for column in self.facts.columns}, ())
        kept = tuple((name, text) for name, text in attributes if name not in link.key.columns)
        names = Names({column.name for column in parent.facts.columns})
        return Embedding(names.new(self.name), self.facts.table.name, match, kept, link.words)
