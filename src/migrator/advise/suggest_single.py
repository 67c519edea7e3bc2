"""One table for everything: PK and SK, children in their parent's partition, shared indexes GSI1, GSI2, …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from migrator.advise.design import Asked, IndexDesign, KeyDesign, PatternDesign, TableDesign
from migrator.advise.suggest_draft import Draft
from migrator.advise.suggest_entities import PAST, can_ask_by_key, entity_name, sql_for, ttl_name, ttl_note
from migrator.advise.suggest_keys import (
    Names,
    RowKey,
    column_parts,
    column_text,
    key_parts,
    key_word,
    part_notes,
    row_key,
)
from migrator.advise.suggest_lookups import Lookup, lookups
from migrator.advise.suggest_relations import Link, Relations, find_relations, is_embeddable, is_identifying
from migrator.advise.suggest_source import Source
from migrator.limits import GLOBAL_INDEXES

KEYS = PK, SK = "PK", "SK"


def single_table(source: Source, table_name: str) -> list[TableDesign]:
    """All entities in one table."""
    keys = {name: row_key(facts) for name, facts in source.facts.items()}
    design = _Single(source, keys, find_relations(source, keys))
    for name in source.facts:
        design.place(name)
    for name in source.facts:
        design.index(name)
        design.ask_partition(name)
    ttl = design.time_to_live()
    return [design.result(table_name, ttl)]


class _Single:
    def __init__(self, source: Source, keys: Mapping[str, RowKey], relations: Relations) -> None:
        self._source = source
        self._relations = relations
        self._words = Names()
        self._pattern_names = Names()
        names = Names()
        self._entities = {
            name: Draft(entity_name(facts.table, names), self._words.new(key_word(name)), facts, keys[name])
            for name, facts in source.facts.items()
        }

    # ---- where items lie

    def place(self, name: str) -> None:
        entity = self._entities[name]
        entity.reasons.append(entity.key.reason)
        if name in self._relations.junctions:
            self._place_junction(entity, *self._relations.junctions[name])
        elif name in self._relations.folds:
            self._place_child(entity, self._relations.folds[name])
        else:
            parts = key_parts(entity.facts, entity.key, sort=False, word=entity.word)
            entity.items.append({PK: entity.template(entity.word, parts), SK: entity.word})
            entity.reasons += part_notes([entity.facts.column(c) for c in entity.key.columns], parts)
        self._ask_by_key(entity)

    def _partition(self, entity: Draft, link: Link) -> str:
        """The parent's partition key, from the child's columns."""
        parent = self._entities[link.parent]
        parts = key_parts(parent.facts, parent.key, sort=False, word=parent.word)
        return entity.template(parent.word, [p.of(c) for p, c in zip(parts, link.key.columns, strict=True)])

    def _place_child(self, entity: Draft, link: Link) -> None:
        parent = self._entities[link.parent]
        identifying = is_identifying(entity.key, link)
        parts = entity.sort_parts(link.key.columns if identifying else ())
        entity.items.append({PK: self._partition(entity, link), SK: entity.template(entity.word, parts)})
        entity.reasons.append(f"in the partition of its {parent.name}: {link.words}")
        begins = Asked(SK, f"{entity.word}#", begins_with=True) if parts else Asked(SK, entity.word)
        self._ask_children(entity, f"{entity.name} of {parent.name}", link, 0, begins)
        if not identifying:
            self._index_key(entity)
        if is_embeddable(self._source, link):
            parent.offers.append(entity.embedded_in(parent, link))

    def _place_junction(self, entity: Draft, one: Link, other: Link) -> None:
        back = entity.word if one.parent != other.parent else self._words.new(f"{entity.word}_BACK")
        for number, (link, far, word) in enumerate(((one, other, entity.word), (other, one, back))):
            columns = [entity.facts.column(name) for name in far.key.columns]
            parts = column_parts(columns, sort=True, word=word)
            entity.reasons += part_notes(columns, parts, sort=True)
            entity.items.append({PK: self._partition(entity, link), SK: entity.template(word, parts)})
            name = f"{entity.name} of {self._entities[link.parent].name} by {', '.join(link.key.columns)}"
            self._ask_children(entity, name, link, number, Asked(SK, f"{word}#", begins_with=True))
        ends = (
            f"{self._entities[one.parent].name} ({one.words}) and {self._entities[other.parent].name} ({other.words})"
        )
        entity.reasons.append(f"many to many: two items a row, to be read from either end, {ends}")

    # ---- questions

    def _ask_by_key(self, entity: Draft) -> None:
        if can_ask_by_key(self._source, entity.facts, entity.key):
            asked = [Asked(attribute, template) for attribute, template in entity.items[0].items() if attribute in KEYS]
            sql = sql_for(entity.facts, entity.key, entity.key.columns)
            self._ask(entity, f"{entity.name} by key", asked, sql)

    def _ask_children(self, entity: Draft, name: str, link: Link, item: int, begins: Asked) -> None:
        asked = [Asked(PK, entity.items[item][PK]), begins]
        self._ask(entity, name, asked, sql_for(entity.facts, entity.key, link.key.columns))

    def ask_partition(self, name: str) -> None:
        """The item collection as a whole: one query gives a row and what belongs to it."""
        entity, relations = self._entities[name], self._relations
        links = [*relations.folds.values(), *chain.from_iterable(relations.junctions.values())]
        children = dict.fromkeys(self._entities[link.child].name for link in links if link.parent == name)
        lies_elsewhere = name in relations.folds or name in relations.junctions
        if children and not lies_elsewhere and can_ask_by_key(self._source, entity.facts, entity.key):
            sql = sql_for(entity.facts, entity.key, entity.key.columns)
            asked = [Asked(PK, entity.items[0][PK])]
            self._ask(entity, f"{entity.name} with its {' and '.join(children)}", asked, sql)

    def _ask(self, entity: Draft, name: str, key: Sequence[Asked], sql: str | None, index: str | None = None) -> None:
        entity.patterns.append(PatternDesign(self._pattern_names.new(name), entity.name, tuple(key), index, sql))

    # ---- indexes

    def index(self, name: str) -> None:
        entity = self._entities[name]
        left = []
        for lookup in lookups(self._source, entity.facts, self._covered(entity)):
            if lookup.is_empty:
                entity.reasons.append(f"no index on {lookup.label}: no row has a value")
            elif entity.indexes < GLOBAL_INDEXES:
                self._index_lookup(entity, lookup)
            else:
                left.append(lookup.label)
        if left:
            entity.reasons.append(f"{GLOBAL_INDEXES} indexes are the most, so none is on {'; '.join(left)}")

    def _covered(self, entity: Draft) -> set[frozenset[str]]:
        """Columns that the table itself answers for."""
        name, relations = entity.facts.table.name, self._relations
        links = [*relations.junctions.get(name, ()), *([relations.folds[name]] if name in relations.folds else [])]
        own = [entity.key.columns] if entity.key.is_primary else []
        return {frozenset(columns) for columns in (*own, *(link.key.columns for link in links))}

    def _index_lookup(self, entity: Draft, lookup: Lookup) -> None:
        if lookup.reference:
            parent = self._entities.get(lookup.reference.table)
            word = parent.word if parent else key_word(lookup.reference.table)
        else:
            word = f"{entity.word}#{key_word('_'.join(lookup.names))}"
        parts = column_parts(lookup.columns, sort=False, word=word, folded=lookup.folded)
        sort = entity.template(entity.word, key_parts(entity.facts, entity.key, sort=True, word=entity.word))
        index, asked = entity.add_index(entity.template(word, parts), sort)
        entity.reasons += [f"{index}: {lookup.why}", *part_notes(lookup.columns, parts)]
        if lookup.found:
            sql = sql_for(entity.facts, entity.key, lookup.names, lookup.folded)
            self._ask(entity, lookup.question(entity.name), asked, sql, index)

    def _index_key(self, entity: Draft) -> None:
        """A child's own key alone, without its parent's."""
        parts = key_parts(entity.facts, entity.key, sort=False, word=entity.word)
        index, asked = entity.add_index(entity.template(entity.word, parts), entity.word)
        entity.reasons.append(f"{index} finds it by its own key alone")
        if can_ask_by_key(self._source, entity.facts, entity.key):
            sql = sql_for(entity.facts, entity.key, entity.key.columns)
            self._ask(entity, f"{entity.name} by its own key", asked, sql, index)

    # ---- time to live

    def time_to_live(self) -> tuple[str, bool] | None:
        """The attribute, and whether all its times are still to come."""
        expiries = self._source.expiries
        name = ttl_name(self._source.facts.values(), expiries)
        if not expiries or name is None:
            return None
        for table, expiry in expiries.items():
            entity = self._entities[table]
            entity.ttl = (name, f"{column_text(expiry.column)}|epoch")
            entity.used[expiry.column] = None
            entity.reasons.append(ttl_note(name, expiry))
        return name, not any(expiry.past for expiry in expiries.values())

    # ---- the design

    def result(self, table_name: str, ttl: tuple[str, bool] | None) -> TableDesign:
        count = max((entity.indexes for entity in self._entities.values()), default=0)
        indexes = [f"GSI{n + 1}" for n in range(count)]
        taken = {PK, SK, *(f"{index}{end}" for index in indexes for end in (PK, SK))}
        reasons = []
        if ttl and not ttl[1]:
            reasons.append(PAST.format(ttl[0]))
        return TableDesign(
            name=table_name,
            keys=(KeyDesign(PK), KeyDesign(SK)),
            entities=tuple(entity.finished(taken) for entity in self._entities.values()),
            indexes=tuple(IndexDesign(n, KeyDesign(f"{n}PK"), KeyDesign(f"{n}SK")) for n in indexes),
            patterns=tuple(pattern for entity in self._entities.values() for pattern in entity.patterns),
            time_to_live=ttl[0] if ttl and ttl[1] else None,
            reasons=tuple(reasons),
        )
