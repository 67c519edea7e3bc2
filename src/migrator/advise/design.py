"""A suggested design, as frozen data: what `advise.suggest` decided, and why.

Templates and expressions are texts in the mapping's language; `advise.design_yaml` writes them into files.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from migrator.mapping.model import KeyType

Style = Literal["single-table", "table-per-entity"]
STYLES: tuple[Style, ...] = ("single-table", "table-per-entity")


class KeyDesign(Struct, frozen=True):
    """An attribute that is a key of a table or index, and its type."""

    name: str
    type: KeyType = "S"


class IndexDesign(Struct, frozen=True):
    name: str
    partition_key: KeyDesign
    sort_key: KeyDesign | None = None


class EntityItem(Struct, frozen=True):
    """One item that a row becomes: key attribute -> template, index keys too."""

    key: tuple[tuple[str, str], ...]

    def template(self, attribute: str) -> str | None:
        return dict(self.key).get(attribute)


class Embedding(Struct, frozen=True):
    """Child rows as a list inside their parent's item: an offer, since a list cannot be asked for by itself."""

    attribute: str
    source: str
    match: tuple[tuple[str, str], ...]  #: (child column, parent column)
    attributes: tuple[tuple[str, str], ...]
    reason: str


class EntityDesign(Struct, frozen=True):
    name: str
    source: str  #: the table's name
    rows: int
    items: tuple[EntityItem, ...]
    #: attribute -> expression, where a column's plain copy under its own name would not do
    attributes: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()  #: columns that cannot be read
    reasons: tuple[str, ...] = ()  #: one decision each, with the numbers it was made on
    offers: tuple[Embedding, ...] = ()
    rejects: tuple[tuple[str, int], ...] = ()  #: reject code -> rows, of those that DynamoDB cannot hold


class Asked(Struct, frozen=True):
    """What a question says of one key."""

    attribute: str
    template: str
    begins_with: bool = False


class PatternDesign(Struct, frozen=True):
    name: str
    entity: str
    key: tuple[Asked, ...]
    index: str | None = None
    sql: str | None = None


class TableDesign(Struct, frozen=True):
    """One DynamoDB table with its entities: one mapping file."""

    name: str
    keys: tuple[KeyDesign, ...]  #: the partition key and, where there is one, the sort key
    entities: tuple[EntityDesign, ...]
    indexes: tuple[IndexDesign, ...] = ()
    patterns: tuple[PatternDesign, ...] = ()
    time_to_live: str | None = None
    reasons: tuple[str, ...] = ()


class LeftOut(Struct, frozen=True):
    """A table or view of the source that has no entity."""

    name: str
    kind: str
    reason: str
    readable: bool = False  #: an entity could be made of it


class Design(Struct, frozen=True):
    source: str  #: path of the file, absolute
    style: Style
    tables: tuple[TableDesign, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def entities(self) -> tuple[EntityDesign, ...]:
        return tuple(entity for table in self.tables for entity in table.entities)
