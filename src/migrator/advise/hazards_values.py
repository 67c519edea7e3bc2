"""Hazards that single values carry: each is a condition in SQL, and all of a table are counted in one scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from migrator.advise.hazard_codes import hazard
from migrator.advise.model import Hazard, TableAnalysis
from migrator.advise.rows_of import RowsOf
from migrator.advise.shown import count_of
from migrator.limits import NUMBER_DIGITS, PARTITION_KEY_BYTES, SORT_KEY_BYTES
from migrator.mapping.hints import hint_of
from migrator.source.profile import ColumnProfile
from migrator.source.profile_scan import INVALID_UTF8, utf8_length
from migrator.source.relation import quote
from migrator.source.schema import Column

_EXACT_DOUBLE = 2**53
# As doubles: the next ones beyond are refused.
_LARGEST, _SMALLEST = "9.999999999999999e125", "1e-130"


_KINDS: Mapping[str, tuple[str, ...]] = {"number": ("INTEGER", "REAL"), "text": ("TEXT",), "blob": ("BLOB",)}


class Place(Struct, frozen=True):
    """A column with what is known of it."""

    column: Column
    profile: ColumnProfile
    in_key: bool
    leads_key: bool
    in_index: bool  #: unique or a foreign key, so a design may ask for items by it

    def holds(self, *storage_classes: str) -> bool:
        return any(name in self.profile.storage_classes for name in storage_classes)

    @property
    def sql(self) -> str:
        return f"src.{quote(self.column.name)}"

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many numbers, texts and BLOBs: an attribute of a key has one type."""
        classes = self.profile.storage_classes
        counts = {kind: sum(classes.get(name, 0) for name in names) for kind, names in _KINDS.items()}
        return {kind: count for kind, count in counts.items() if count}

    @property
    def is_number(self) -> bool:
        return hint_of(self.column.declared_type) == "number"


class _Rule(Struct, frozen=True):
    code: str
    message: str
    #: False spares the scan: the profile already says that there is none
    may_occur: Callable[[Place], bool]
    #: SQL; what it may name is in _condition
    condition: str


def _lies_beyond(place: Place) -> bool:
    """Where text stands beside numbers the largest number is not known."""
    low, high = place.profile.minimum, place.profile.maximum
    return not (isinstance(high, int | float) and high <= _EXACT_DOUBLE) or not (
        isinstance(low, int | float) and low >= -_EXACT_DOUBLE
    )


def _is_longer(limit: int, place: Place) -> bool:
    return place.profile.longest_bytes > limit


_RULES = (
    _Rule("null_in_key", "{n} with NULL in it", lambda at: at.in_key and at.profile.nulls > 0, "{c} IS NULL"),
    _Rule(
        "mixed_key",
        "{n} of another kind than most",
        lambda at: at.in_key and len(at.kinds) > 1,
        "{kind} <> {main_kind}",
    ),
    _Rule("empty_key", "{n} with an empty key", lambda at: at.in_key and at.profile.empty > 0, "{empty}"),
    _Rule(
        "empty_index_key",
        "{n} with an empty value",
        lambda at: at.in_index and not at.in_key and at.profile.empty > 0,
        "{empty}",
    ),
    _Rule(
        "key_too_long",
        f"{{n}} over {PARTITION_KEY_BYTES} bytes, for a partition key",
        lambda at: (at.leads_key or (at.in_index and not at.in_key)) and _is_longer(PARTITION_KEY_BYTES, at),
        f"{{bytes}} > {PARTITION_KEY_BYTES}",
    ),
    _Rule(
        "key_too_long",
        f"{{n}} over {SORT_KEY_BYTES} bytes, for a sort key",
        lambda at: at.in_key and not at.leads_key and _is_longer(SORT_KEY_BYTES, at),
        f"{{bytes}} > {SORT_KEY_BYTES}",
    ),
    _Rule(
        "invalid_utf8",
        "{n} with text that is not UTF-8",
        lambda at: at.profile.invalid_utf8 > 0,
        f"CASE typeof({{c}}) WHEN 'text' THEN {INVALID_UTF8}(CAST({{c}} AS BLOB)) ELSE 0 END",
    ),
    _Rule("nul_in_text", "{n} with a NUL", lambda at: at.profile.with_nul > 0, "{is_text} AND instr({c}, char(0)) > 0"),
    _Rule("not_finite", "{n} with an infinity", lambda at: at.holds("REAL"), "{is_real} AND abs({as_real}) = 9e999"),
    _Rule(
        "number_out_of_range",
        "{n} out of range",
        lambda at: at.holds("REAL"),
        f"{{is_real}} AND (abs({{as_real}}) > {_LARGEST} AND abs({{as_real}}) < 9e999"
        f" OR abs({{as_real}}) < {_SMALLEST} AND {{plain}} <> 0)",
    ),
    _Rule(
        "number_too_precise",
        f"{{n}} of more than {NUMBER_DIGITS} digits",
        lambda at: at.is_number and at.holds("TEXT") and _is_longer(NUMBER_DIGITS, at),
        f"{{is_text}} AND length({{c}}) > {NUMBER_DIGITS} AND {{c}} NOT GLOB '*[^0-9.-]*'"
        f" AND length(trim(replace(replace({{c}}, '-', ''), '.', ''), '0')) > {NUMBER_DIGITS}",
    ),
    _Rule(
        "integer_beyond_double",
        "{n} beyond 2^53",
        lambda at: at.holds("INTEGER") and _lies_beyond(at),
        f"typeof({{c}}) = 'integer' AND {{plain}} NOT BETWEEN -{_EXACT_DOUBLE} AND {_EXACT_DOUBLE}",
    ),
    _Rule(
        "rounded_decimal",
        "{n} with more than 15 digits",
        lambda at: at.is_number and at.holds("REAL"),
        "{is_real} AND CAST(printf('%.15g', {c}) AS REAL) <> {plain}",
    ),
)
_BY_ROWID = frozenset({"null_in_key", "mixed_key", "empty_key", "key_too_long"})


def find_in_values(rows: RowsOf, found: TableAnalysis) -> Iterator[Hazard]:
    wanted = [
        (rule, place, _condition(rows, rule, place))
        for place in iter_places(found)
        for rule in _RULES
        if rule.may_occur(place)
    ]
    counts = rows.count_each([condition for _, _, condition in wanted])
    for (rule, place, condition), count in zip(wanted, counts, strict=True):
        if count:
            message = rule.message.format(n=count_of(count, "row"))
            examples = rows.examples(condition, by_rowid=rule.code in _BY_ROWID)
            yield hazard(rule.code, found.table.name, (place.column.name,), message, count, examples)


def iter_places(found: TableAnalysis) -> Iterator[Place]:
    """The columns that can be read."""
    table = found.table
    unique = {name for index in table.indexes if index.unique and len(index.columns) == 1 for name in index.columns}
    referring = {name for key in table.foreign_keys if len(key.columns) == 1 for name in key.columns}
    for profile in found.profile.columns if found.profile else ():
        column = table.column(profile.name)
        if column and not profile.error:
            yield Place(
                column,
                profile,
                in_key=column.name in table.primary_key,
                leads_key=table.primary_key[:1] == (column.name,),
                in_index=column.name in unique | referring,
            )


def _condition(rows: RowsOf, rule: _Rule, place: Place) -> str:
    c = place.sql
    kind = f"CASE typeof({c}) WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number' ELSE typeof({c}) END"
    parts = {
        "c": c,
        # for comparisons: the collation of the column may be one that only the application knows
        "plain": f"{c} COLLATE BINARY",
        "is_text": f"typeof({c}) = 'text'",
        "is_real": f"typeof({c}) = 'real'",
        # SQLite evaluates both sides of an AND, and the absolute of the least integer is an error
        "as_real": f"CAST({c} AS REAL)",
        "empty": f"typeof({c}) IN ('text', 'blob') AND length(CAST({c} AS BLOB)) = 0",
        "bytes": f"CASE typeof({c}) WHEN 'text' THEN {utf8_length(rows.connection, c)} ELSE length({c}) END",
        "kind": f"typeof({c}) <> 'null' AND {kind}",
        "main_kind": f"'{max(place.kinds, key=place.kinds.__getitem__, default='')}'",
    }
    return "(" + rule.condition.format(**parts) + ")"
