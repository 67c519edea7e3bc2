"""Every hazard that an analysis can announce, in one table. Codes are stable: scripts act on them.

docs/hazards.md says the same at more length, and a test holds it to this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from migrator.advise.model import Hazard, RowKey, Severity


class HazardCode(Struct, frozen=True):
    severity: Severity
    words: str  #: what it is, in one line
    way_out: str


_LOSES: Severity = "loses"
_CHANGES: Severity = "changes"
_WATCH: Severity = "watch"

HAZARDS: Mapping[str, HazardCode] = MappingProxyType(
    {
        # keys
        "null_in_key": HazardCode(
            _LOSES,
            "a column of the primary key holds NULL, which SQLite allows and DynamoDB refuses",
            'key such rows by "{@rowid}", or give the column a default("…") in the template',
        ),
        "duplicate_key": HazardCode(
            _LOSES,
            "rows share one primary key, since SQLite takes each NULL for another",
            'key such rows by "{@rowid}", or add a column that tells them apart',
        ),
        "mixed_key": HazardCode(
            _CHANGES,
            "a column of the primary key holds more than one of numbers, text and BLOBs",
            "a key template in text, with the filter token where their texts meet; a key attribute has one type",
        ),
        "keys_meet_as_text": HazardCode(
            _LOSES,
            "different keys give one text: 1, '1' and x'31', or parts that hold the separator #",
            "the filter token in the template tells them apart, as in {a|token}#{b|token}",
        ),
        "empty_key": HazardCode(
            _LOSES,
            "a column of the primary key is empty, and DynamoDB refuses an empty key",
            "put text around the column, as in USER#{id}",
        ),
        "empty_index_key": HazardCode(
            _CHANGES,
            "a unique or referring column is empty: as an index key such an item stays out of the index",
            "put text around the column in the index key; without it the index is sparse",
        ),
        "key_too_long": HazardCode(
            _LOSES,
            "a key is longer than DynamoDB takes: 2048 bytes for a partition key, 1024 for a sort key",
            "the filter sha256 in the template gives a key of fixed length",
        ),
        "equal_but_for_collation": HazardCode(
            _CHANGES,
            "a column's collation (NOCASE, RTRIM) takes values for equal that DynamoDB tells apart",
            "the filter lower or trim in keys that are asked by this column",
        ),
        "hot_partition": HazardCode(
            _WATCH,
            "one value of a possible partition key has many of the rows: all of them on one partition",
            "another partition key, or {column}#{other|shard(10)} to spread the value",
        ),
        # values
        "invalid_utf8": HazardCode(
            _LOSES,
            "text that is not UTF-8",
            "the filter storable keeps the bytes, as binary; in keys token; or mend the source",
        ),
        "not_finite": HazardCode(
            _LOSES,
            "an infinity, which DynamoDB's numbers do not have",
            "the filter storable writes it as text; nullif leaves it out",
        ),
        "number_out_of_range": HazardCode(
            _LOSES,
            "a number above 9.99E+125 or nearer to zero than 1E-130",
            "the filter storable writes it as text",
        ),
        "number_too_precise": HazardCode(
            _LOSES,
            "decimal text of more than 38 digits in a column declared as a number",
            "the filter string",
        ),
        "integer_beyond_double": HazardCode(
            _WATCH,
            "integers beyond 2^53: DynamoDB keeps them exactly, a reader that takes numbers for doubles does not",
            "the filter string, where JavaScript and the like will read it",
        ),
        "rounded_decimal": HazardCode(
            _CHANGES,
            "a column declared DECIMAL holds doubles of more than 15 digits: SQLite rounded what was written",
            "nothing brings lost digits back; compare with where the data came from",
        ),
        "nul_in_text": HazardCode(
            _WATCH,
            "text with a NUL: DynamoDB keeps it, the sqlite3 shell and many programs stop reading there",
            "nothing to do for the migration; know it when comparing by eye",
        ),
        "json_too_deep": HazardCode(
            _LOSES,
            "JSON nested deeper than DynamoDB's 31 lists and maps",
            "the filter string keeps it as text; get takes a part of it",
        ),
        "item_too_large": HazardCode(
            _LOSES,
            "rows that are over 400 KB as items",
            "leave large columns out (columns: {except: […]}) and keep them in S3",
        ),
        # names
        "key_name_clash": HazardCode(
            _LOSES,
            "a column has the name of a key attribute or of the time to live",
            "copy it under another name (attributes:), or name the table's keys otherwise",
        ),
        "similar_names": HazardCode(
            _WATCH,
            "names that differ only in case, which are two in DynamoDB",
            "give one of them another name under attributes:",
        ),
        "empty_name": HazardCode(
            _LOSES,
            "a column without a name, which no attribute can be",
            "name it under attributes:",
        ),
        # tables
        "no_key": HazardCode(
            _WATCH,
            "a table without a primary key: only the rowid tells its rows apart",
            'key it by "{@rowid}"; rowids may change when the file is vacuumed',
        ),
        "view_without_key": HazardCode(
            _WATCH,
            "a view in which no single column is unique",
            "{query: …, key: […]} with columns that are unique together",
        ),
        "unreadable": HazardCode(
            _LOSES,
            "a table or view that cannot be read",
            "mend or drop it; it is left out",
        ),
        "unreadable_column": HazardCode(
            _LOSES,
            "a column that cannot be read, as a generated column that fails on its data",
            "columns: {except: […]}, or mend the rows it fails on",
        ),
        "contentless": HazardCode(
            _LOSES,
            "a virtual table that answers nothing but NULL: its text is not in the file",
            "migrate the table that it indexes",
        ),
        "dangling_foreign_key": HazardCode(
            _WATCH,
            "rows that refer to a parent that is not there",
            "do not embed them in their parent: they need an entity of their own",
        ),
        "broken_rule": HazardCode(
            _WATCH,
            "rows that break a NOT NULL, a CHECK or a STRICT type of their own schema",
            "copied as they are; rules: in the mapping can reject them",
        ),
        "unchecked": HazardCode(
            _WATCH,
            "what only the application can compare or compute was not checked",
            "run the application's own checks",
        ),
    }
)


def hazard(
    code: str,
    table: str,
    columns: tuple[str, ...],
    message: str,
    count: int = 1,
    examples: tuple[RowKey, ...] = (),
) -> Hazard:
    known = HAZARDS[code]
    return Hazard(code, known.severity, table, columns, message, count, examples, known.way_out)
