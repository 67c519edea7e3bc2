"""Which tables lie in another's partition: junctions of two tables, and children that one parent owns.

Rules with numbers, so that each decision can be told with the numbers it was made on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from migrator.advise.suggest_keys import RowKey
from migrator.advise.suggest_source import FanOut, Source, foreign_keys
from migrator.source.schema import ForeignKey, Table

#: A parent's children are read in one go while they are no more than this many,
FOLD_MOST = 1_000
#: and few on average: a look-up table's rows own nothing,
FOLD_MEAN = 100
#: and within the megabyte that one Query gives.
FOLD_BYTES = 1024 * 1024
#: Children that could as well lie inside their parent's item.
EMBED_MOST = 20
EMBED_BYTES = 16 * 1024


class Link(Struct, frozen=True):
    """A foreign key whose values are exactly those of its parent's key."""

    child: str
    key: ForeignKey
    fan: FanOut
    row_bytes: float  #: of the child, on average

    @property
    def parent(self) -> str:
        return self.key.table

    @property
    def collection_bytes(self) -> int:
        return round(self.fan.most * self.row_bytes)

    @property
    def words(self) -> str:
        size = self.collection_bytes
        told = f"{size:,} bytes" if size < 10_000 else f"{size // 1024:,} KB"
        return f"at most {self.fan.most:,} of each, {self.fan.mean:.1f} on average, about {told}"


class Relations(Struct, frozen=True):
    junctions: Mapping[str, tuple[Link, Link]]
    folds: Mapping[str, Link]  #: child -> what it lies under


def find_relations(source: Source, keys: Mapping[str, RowKey]) -> Relations:
    links = {name: list(_links(source, keys, facts.table)) for name, facts in source.facts.items()}
    junctions = {name: pair for name, found in links.items() if (pair := _junction(keys[name], found))}
    ends = {link.parent for pair in junctions.values() for link in pair}
    candidates = [
        link
        for name, found in links.items()
        if name not in junctions and name not in ends
        for link in found
        if _is_owned(source, keys[name], link) and _is_bounded(link)
    ]
    return Relations(junctions, _fold(source, keys, candidates, set(junctions)))


def _links(source: Source, keys: Mapping[str, RowKey], table: Table) -> Iterator[Link]:
    facts = source.facts[table.name]
    for key in foreign_keys(table):
        fan = source.fans.get((table.name, key.columns))
        parent = keys.get(key.table)
        # Every row has a parent, and writes its key exactly as the parent does.
        exact = fan is not None and fan.strangers == 0 and fan.rows == facts.rows > 0
        if fan and exact and parent and parent.is_primary and parent.columns == key.parent_columns:
            yield Link(table.name, key, fan, facts.row_bytes)


def _junction(key: RowKey, links: Sequence[Link]) -> tuple[Link, Link] | None:
    """Two foreign keys that make up the primary key."""
    if not key.is_primary:
        return None
    parts = [link for link in links if set(link.key.columns) < set(key.columns)]
    for one in parts:
        for other in parts:
            both = one.key.columns + other.key.columns
            if one is not other and len(both) == len(key.columns) and set(both) == set(key.columns):
                return one, other
    return None


def is_identifying(key: RowKey, link: Link) -> bool:
    """The parent's key is part of the child's."""
    return key.is_primary and set(link.key.columns) <= set(key.columns)


def _is_owned(source: Source, key: RowKey, link: Link) -> bool:
    if link.parent == link.child:
        return False
    columns = [source.facts[link.child].table.column(name) for name in link.key.columns]
    required = all(column is not None and column.not_null for column in columns)
    return required or is_identifying(key, link) or link.key.on_delete == "CASCADE"


def _is_bounded(link: Link) -> bool:
    return link.fan.most <= FOLD_MOST and link.fan.mean <= FOLD_MEAN and link.collection_bytes <= FOLD_BYTES


def _fold(
    source: Source, keys: Mapping[str, RowKey], candidates: Sequence[Link], junctions: set[str]
) -> dict[str, Link]:
    """The best candidates first. One level only: a grandchild does not hold its grandparent's key."""

    def rank(link: Link) -> tuple[object, ...]:
        named_after = link.child.lower().startswith(link.parent.lower().rstrip("s"))
        rows = source.facts[link.child].rows
        cascade = link.key.on_delete == "CASCADE"
        return (not is_identifying(keys[link.child], link), not cascade, not named_after, -rows, -link.fan.mean)

    folds: dict[str, Link] = {}
    owners: set[str] = set()
    for link in sorted(candidates, key=rank):
        free = link.child not in folds and link.child not in owners
        if free and link.parent not in folds and link.parent not in junctions:
            folds[link.child] = link
            owners.add(link.parent)
    return folds


def is_embeddable(source: Source, link: Link) -> bool:
    """Few and small, and nothing refers to the child itself."""
    referred = {key.table for facts in source.facts.values() for key in facts.table.foreign_keys}
    return link.fan.most <= EMBED_MOST and link.collection_bytes <= EMBED_BYTES and link.child not in referred
