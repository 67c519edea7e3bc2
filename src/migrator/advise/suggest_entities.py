"""What both styles share of an entity: its attributes, its questions, and what is told of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from migrator.advise.design import LeftOut
from migrator.advise.shown import count_of
from migrator.advise.suggest_facts import ColumnFacts, TableFacts
from migrator.advise.suggest_keys import Names, RowKey, column_text, key_word
from migrator.advise.suggest_source import Expiry, Source
from migrator.mapping.document import FIXED_ITEMS
from migrator.mapping.hints import hint_of
from migrator.source.relation import as_bytes, quote
from migrator.source.schema import Table

#: A word of a column's name, as `key_word` splits it.
_IDENTIFIER = re.compile(
    r"(?:^|_)(?:ZIP|ZIPCODE|POSTCODE|POSTAL|PHONE|FAX|MOBILE|ISBN|EAN|SSN|IBAN|CODE|SKU|NO|NR|NUMBER)(?:_|$)"
)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"table": "table", "virtual": "virtual table"}


def entity_name(table: Table, names: Names) -> str:
    """The table's own name; `items` is taken by the fixed items, and an entity cannot be called nothing."""
    wanted = table.name if table.name.strip() else "unnamed"
    return names.new(f"{wanted}_table" if wanted == FIXED_ITEMS else wanted)


def left_out(source: Source) -> Iterator[LeftOut]:
    """Tables and views without an entity. Shadow tables are the storage of virtual ones and are not named."""
    for table in source.schema.tables:
        if table.kind == "view":
            why = f"it cannot be read: {table.error}" if table.error else "its rows are those of tables"
            yield LeftOut(table.name, "view", why, readable=not table.error)
        elif table.name in source.unread:
            yield LeftOut(table.name, _WORDS[table.kind], f"it cannot be read: {source.unread[table.name]}")


# ---- attributes


def attributes_of(
    facts: TableFacts, used: Collection[str], taken: Collection[str], keyed: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Where a plain copy would not do: columns that keys use, names that are taken, values that do not fit.

    `used` are columns in templates, `taken` the names of other attributes, `keyed` columns that are keys as they are.
    """
    names = Names({*taken, *(column.name for column in facts.columns)})
    found = []
    for column in facts.columns:
        if column.error or column.name in keyed:
            continue
        renamed = not column.name or column.name in taken
        name = names.new(f"{column.name or 'unnamed'}_") if renamed else column.name
        storable = column.unstorable or _is_code(column)
        if renamed or storable or column.name in used:
            found.append((name, column_text(column.name) + ("|storable" if storable else "")))
    return found


def _is_code(column: ColumnFacts) -> bool:
    """Digits in text that name something are no number: 1.50 may be one, a zip code is none."""
    is_number = hint_of(column.declared_type) == "number"
    return bool(is_number and column.texts and _IDENTIFIER.search(key_word(column.name)))


def value_notes(facts: TableFacts) -> Iterator[str]:
    """What is not copied as it is."""
    for column in facts.columns:
        if column.error:
            yield f"{column.name} is left out: it cannot be read ({column.error})"
        elif column.unstorable:
            yield _storable_note(column)
        elif _is_code(column):
            yield f"{column.name} stays text although it is declared {column.declared_type}: its digits name something"


def _storable_note(column: ColumnFacts) -> str:
    told = f"{column.unstorable:,} of {count_of(column.values, 'value')}"
    if column.invalid:
        return f"{column.name} through storable: {told} are not UTF-8 and become binary"
    if column.unstorable and hint_of(column.declared_type) in ("json", "number"):
        return f"{column.name} through storable, all its text stays text: {told} do not fit as {column.declared_type}"
    return f"{column.name} through storable: {told} are numbers beyond DynamoDB's and become text"


#: What a time-to-live attribute may be called: the first that is no other column's name.
_TTL_NAMES = ("ttl", "timeToLive", "itemExpiresAt", "expiresAtEpoch")
PAST = "time_to_live: {} is not set: the service would delete the items whose time is past within days"


def ttl_name(facts: Iterable[TableFacts], expiries: Mapping[str, Expiry]) -> str | None:
    """The attribute that the times go to. Where a column of that name holds them, they replace it."""
    others = {
        column.name
        for table in facts
        for column in table.columns
        if not ((expiry := expiries.get(table.table.name)) and expiry.column == column.name)
    }
    return next((name for name in _TTL_NAMES if name not in others), None)


def ttl_note(name: str, expiry: Expiry) -> str:
    past = f", of which {expiry.past:,} are past" if expiry.past else ""
    return f"{name}: {expiry.column} holds nothing but times ({expiry.values:,}{past})"


# ---- questions


def can_ask_by_key(source: Source, facts: TableFacts, key: RowKey) -> bool:
    """Whether the key of some row can be put in a question."""
    if key.is_primary:
        return source.together[facts.table.name, key.columns] > 0
    columns = [facts.column(name) for name in key.columns]
    return facts.rows > 0 and not any(column.nulls or column.invalid for column in columns)


def sql_for(facts: TableFacts, key: RowKey, columns: Sequence[str], folded: Collection[str] = ()) -> str | None:
    """The question in SQL; None where SQL cannot name its parameters or its rows would not name the source's."""
    table = facts.table
    if not columns or not all(_PARAMETER.fullmatch(name) for name in columns):
        return None
    if table.primary_key:
        if not key.is_primary:
            return None  # rows are named by the primary key, and here it is NULL
        result = _all_of(table)
    elif table.rowid:
        result = f"{table.rowid}, {_all_of(table)}"
    else:
        return None
    # Keys are compared byte by byte, whatever the column's collation; one in lower case as NOCASE compares.
    binary = " COLLATE BINARY" if "COLLATE" in (table.sql or "").upper() else ""
    where = " AND ".join(
        f"{quote(name)} = :{name}{' COLLATE NOCASE' if name in folded else binary}" for name in columns
    )
    return f"SELECT {result} FROM {quote(table.name)} WHERE {where}"


def _all_of(table: Table) -> str:
    return ", ".join(map(as_bytes, table.columns)) if any(column.unordered for column in table.columns) else "*"
