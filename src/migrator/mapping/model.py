"""What a mapping says, as frozen data: the language of `mapping.document`, read by everything after it.

Names are as the user wrote them until `mapping.bind` has fitted them to a source's schema.
All of it pickles, so that a worker process gets a mapping as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from migrator.yamlfile import Written

#: A DynamoDB attribute value in the shape of boto3's low-level client: {"S": "x"}, {"N": "1"}, {"B": b"…"}, {"M": {…}}
AttributeValue = dict[str, Any]
#: An item or a key: attribute name -> AttributeValue
Attributes = dict[str, AttributeValue]
KeyType = Literal["S", "N", "B"]
#: The two encryptions of a table that name no key.
AWS_OWNED, AWS_MANAGED = "AWS_OWNED", "AWS_MANAGED"
#: The alias, in every account, of the key that AWS manages for DynamoDB.
AWS_MANAGED_ALIAS = "alias/aws/dynamodb"


# ---- the target table


class KeyAttribute(Struct, frozen=True):
    name: str
    type: KeyType = "S"


class Capacity(Struct, frozen=True):
    """Provisioned capacity units a second."""

    read: int
    write: int


class IndexDefinition(Struct, frozen=True):
    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None = None
    projection: Literal["ALL", "KEYS_ONLY", "INCLUDE"] = "ALL"
    included: tuple[str, ...] = ()  #: for projection INCLUDE
    capacity: Capacity | None = None  #: of its own, under PROVISIONED billing

    @property
    def key_attributes(self) -> tuple[KeyAttribute, ...]:
        return (self.partition_key, *([self.sort_key] if self.sort_key else []))


class AsWritten:
    """The texts of a table's block before variables were filled in. However it is written, it is the same table.

    >>> AsWritten((("name", ("orders-", "${STAGE}")),)) == AsWritten()
    True
    """

    __slots__ = ("texts",)

    def __init__(self, texts: tuple[tuple[str, Written], ...] = ()) -> None:
        self.texts = texts  #: by key path in the block, where there were any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsWritten)

    def __hash__(self) -> int:
        return hash(AsWritten)

    def __repr__(self) -> str:
        return "AsWritten(...)"  # `run.fingerprint` tells mappings apart by theirs


class TableDefinition(Struct, frozen=True):
    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None = None
    global_indexes: tuple[IndexDefinition, ...] = ()
    local_indexes: tuple[IndexDefinition, ...] = ()
    capacity: Capacity | None = None  #: None means PAY_PER_REQUEST
    warm_throughput: Capacity | None = None
    time_to_live: str | None = None
    point_in_time_recovery: bool | None = None  #: None: the mapping does not say, so it is neither set nor compared
    encryption: str | None = None  #: AWS_OWNED, AWS_MANAGED, or a KMS key: its id, ARN or alias
    deletion_protection: bool | None = None
    table_class: Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"] | None = None
    contributor_insights: bool | None = None
    stream: str | None = None  #: a StreamViewType
    tags: tuple[tuple[str, str], ...] = ()
    written: AsWritten = AsWritten()  #: `target.export` asks

    @property
    def key_attributes(self) -> tuple[KeyAttribute, ...]:
        return (self.partition_key, *([self.sort_key] if self.sort_key else []))

    @property
    def indexes(self) -> tuple[IndexDefinition, ...]:
        return self.global_indexes + self.local_indexes

    def index_capacity(self, index: IndexDefinition) -> Capacity | None:
        """What a global index is given under PROVISIONED billing: its own units, else the table's."""
        return self.capacity and (index.capacity or self.capacity)

    def index_key_types(self) -> dict[str, KeyType]:
        """Attributes that are keys of an index but not of the table -> their declared type."""
        own = {attribute.name for attribute in self.key_attributes}
        return {k.name: k.type for index in self.indexes for k in index.key_attributes if k.name not in own}


# ---- expressions: where an attribute's value comes from


class FilterCall(Struct, frozen=True):
    name: str  #: a name of FILTERS, or "python:module.function"
    arguments: tuple[str | int | float, ...] = ()


class ColumnValue(Struct, frozen=True):
    """A column through filters.

    `builtin` marks @rowid, @file, @stem and the named groups of a plan's `source_pattern` (name without the @).
    """

    column: str
    filters: tuple[FilterCall, ...] = ()
    builtin: bool = False
    #: how the declared type hints at reading the raw value; set by `mapping.bind`
    hint: Literal["", "bool", "json", "number"] = ""


class Template(Struct, frozen=True):
    """Text with placeholders: literals and columns in turn."""

    parts: tuple[str | ColumnValue, ...]
    source: str = ""  #: as written, for messages

    def columns(self) -> Iterator[ColumnValue]:
        return (part for part in self.parts if isinstance(part, ColumnValue))


class Constant(Struct, frozen=True):
    value: AttributeValue


class Now(Struct, frozen=True):
    """Epoch seconds, `offset_s` after the run's start."""

    offset_s: int


class MapOf(Struct, frozen=True):
    attributes: tuple[tuple[str, Expression], ...]


class SourceSpec(Struct, frozen=True):
    """A table or view by name, or a query with its key columns."""

    table: str | None = None
    query: str | None = None
    key: tuple[str, ...] = ()


class Children(Struct, frozen=True):
    """Rows of a child source inside the item.

    shape "list" with `attributes` -> list of maps, with `value` -> list of scalars;
    "one" -> the single row as a map, or nothing; "entries" -> {name column: value expression}.
    """

    shape: Literal["list", "one", "entries"]
    source: SourceSpec
    match: tuple[tuple[str, str], ...]  #: (child column, parent column), at least one
    where: str | None = None
    order_by: str | None = None  #: as in SQL; None: the child's key
    attributes: tuple[tuple[str, Expression], ...] = ()
    value: Expression | None = None  #: for a list of scalars, and for entries
    name: ColumnValue | None = None  #: for entries


Expression = ColumnValue | Template | Constant | Now | MapOf | Children


# ---- entities


class ItemSpec(Struct, frozen=True):
    """One item that a row becomes: keys (index keys too) and attributes."""

    key: tuple[tuple[str, Template], ...]
    attributes: tuple[tuple[str, Expression], ...] = ()
    where: str | None = None
    #: attribute name -> column copied by value: what `columns:` asks for; filled by `mapping.bind`
    rest: tuple[tuple[str, ColumnValue], ...] = ()


class Rule(Struct, frozen=True):
    column: str
    required: bool = False
    type: str | None = None  #: integer, real, number, text, blob, boolean, date, json
    one_of: tuple[Any, ...] | None = None
    min: Any = None
    max: Any = None
    max_length: int | None = None
    pattern: str | None = None
    unique: bool = False
    severity: Literal["error", "warn"] = "error"


class Entity(Struct, frozen=True):
    name: str
    source: SourceSpec
    items: tuple[ItemSpec, ...]
    where: str | None = None
    columns: Literal["rest", "none"] = "rest"
    except_columns: tuple[str, ...] = ()
    nulls: Literal["omit", "keep"] = "omit"
    rules: tuple[Rule, ...] = ()
    listed: bool = False  #: its items stand in a list under `items:`, which key paths in messages then name


# ---- access patterns

Comparison = Literal["eq", "lt", "le", "gt", "ge", "begins_with", "between"]
#: What an attribute is compared with: a template, or a plain value in a filter
Operand = Template | bool | int | Decimal


class Condition(Struct, frozen=True):
    """One comparison of an attribute; `between` has two operands, the others one."""

    attribute: str
    comparison: Comparison
    operands: tuple[Operand, ...]


class AccessPattern(Struct, frozen=True):
    """A question the design must answer; `run.questions` asks it."""

    name: str
    entity: str
    index: str | None = None
    key: tuple[Condition, ...] = ()  #: the partition key's first; () asks by a scan
    sql: str | None = None
    params: tuple[tuple[str, str | bool | int | Decimal], ...] = ()
    filter: tuple[Condition, ...] = ()
    order: Literal["ascending", "descending"] = "ascending"
    limit: int | None = None
    #: names whose values come from the entity's rows: columns as written, @rowid and the like; set by `mapping.bind`
    sampled: tuple[str, ...] = ()


class Mapping(Struct, frozen=True):
    """One file for one DynamoDB table."""

    file: str  #: as messages name it
    table: TableDefinition
    entities: tuple[Entity, ...]
    fixed_items: tuple[tuple[tuple[str, Expression], ...], ...] = ()
    access_patterns: tuple[AccessPattern, ...] = ()


# ---- what rendering gives


class Item(Struct, frozen=True):
    """A rendered item. `size_bytes` by DynamoDB's own size rules."""

    attributes: Attributes
    key: Attributes
    size_bytes: int
