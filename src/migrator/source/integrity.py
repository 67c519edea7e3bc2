"""Is the file whole? SQLite's integrity_check, read with judgement.

NULL, CHECK and type findings are data that breaks its own schema: hazards. Anything else is damage. Collations
and functions that the application brought along are unknown here; what only they could order or compute is set
aside and said so, since it would make a good file look damaged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Literal

from msgspec import Struct, field
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.exc import DBAPIError

from migrator.source.connection import connect_for_check
from migrator.source.failure import (
    DAMAGED,
    is_about_the_file,
    message_of,
    source_failure,
    source_path,
    to_source_error,
)

FindingCode = Literal["null", "check", "type", "collation", "function", "unchecked"]

# The default stops at 100 findings, and a hundred NULLs would hide the damage behind them.
_NO_LIMIT = 2**31 - 1
_DAMAGE_SHOWN = 5

#: texts of pragma.c, which SQLite documents only by example
_HAZARDS: tuple[tuple[FindingCode, re.Pattern[str]], ...] = (
    ("null", re.compile(r"NULL value in (.*)", re.S)),
    ("type", re.compile(r"(?:TEXT|NUMERIC|BLOB|INTEGER|REAL|non-\w+) value in (.*)", re.S)),
    ("check", re.compile(r"CHECK constraint failed in (.*)", re.S)),
)
_ABOUT_ORDER = re.compile(
    r"(?:row -?\d+ missing from index|wrong # of entries in index|non-unique entry in index"
    r"|row -?\d+ values differ from index|row not in PRIMARY KEY order for) (.*)",
    re.S,
)
_UNKNOWN: Mapping[FindingCode, re.Pattern[str]] = {
    "collation": re.compile(r"no such collation sequence: (.*)", re.S),
    "function": re.compile(r"(?:unknown|no such) function: (.*?)(?:\(\))?$", re.S),
}
_INDEX_COLLATIONS = (
    "SELECT m.name, l.name, l.origin, x.coll FROM sqlite_master m, pragma_index_list(m.name) l,"
    " pragma_index_xinfo(l.name) x WHERE m.type = 'table' AND m.rootpage > 0"
)
_INDEX_SQL = (
    "SELECT i.name, coalesce(i.sql, '') || ' ' || coalesce(t.sql, '') FROM sqlite_master i"
    " JOIN sqlite_master t ON t.type = 'table' AND t.name = i.tbl_name WHERE i.type = 'index'"
)


class Finding(Struct, frozen=True):
    """A hazard. `subject` is a table, a "table.column", a collation or a function."""

    code: FindingCode
    subject: str
    message: str
    count: int = 1


class _StandIns(Struct):
    """What the application brought along and this program has to do without, for the length of the check."""

    connection: Connection
    known: list[tuple[FindingCode, str]] = field(default_factory=list)

    def add(self, error: DBAPIError) -> bool:
        """Stand in for what the error misses; False for any other error."""
        for code, pattern in _UNKNOWN.items():
            match = pattern.fullmatch(message_of(error))
            if match and (code, match[1]) not in self.known:
                self.known.append((code, match[1]))
                self._register(code, match[1])
                return True
        return False

    def _register(self, code: FindingCode, name: str) -> None:
        raw: Any = self.connection.connection.driver_connection
        if code == "collation":
            raw.create_collation(name, _compare)
        else:
            # NULL passes every CHECK; deterministic, or an index could not use it
            raw.create_function(name, -1, _null, deterministic=True)

    def touched(self) -> frozenset[str]:
        """Indexes, and tables by their key, whose order or content depends on a stand-in."""
        if not self.known:
            return frozenset()
        collations = {name.lower() for code, name in self.known if code == "collation"}
        functions = [name.lower() for code, name in self.known if code == "function"]
        by_order = {
            name
            for table, index, origin, collation in self.connection.exec_driver_sql(_INDEX_COLLATIONS)
            if str(collation).lower() in collations
            for name in ((index, table) if origin == "pk" else (index,))
        }
        by_content = {
            name
            for name, sql in self.connection.exec_driver_sql(_INDEX_SQL)
            if any(function in _as_text(sql).lower() for function in functions)
        }
        return frozenset(map(_as_text, by_order | by_content))

    def findings(self) -> Iterator[Finding]:
        for code, name in self.known:
            yield Finding(
                code, name, f"{code} {name} is known only to the application; what depends on it was not checked"
            )


def _compare(a: str, b: str) -> int:
    return (a > b) - (a < b)


def _null(*_arguments: Any) -> None:
    return None


def _as_text(value: str | bytes) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def check_integrity(connection: Connection, path: str | None = None) -> tuple[Finding, ...]:
    """Hazards, each with its count. Raises SourceError (source_damaged) with the first findings of damage."""
    where = path or source_path(connection)
    # A connection of its own: a stand-in left behind would let later queries search an index by an order it has not.
    with connect_for_check(connection) as (own, sees_checks):
        try:
            findings = _check(where, _StandIns(own))
            return tuple(findings if sees_checks else [*findings, *_checks_not_seen(own)])
        except DBAPIError as error:
            raise to_source_error(error, where) from error


def _checks_not_seen(connection: Connection) -> Iterator[Finding]:
    with_checks = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND sql LIKE '%CHECK%(%'"
    if count := connection.exec_driver_sql(with_checks).scalar_one():
        message = "CHECK constraints could not be checked: the file cannot be opened for writing"
        yield Finding("unchecked", "CHECK", message, count)


def _check(path: str, stand_ins: _StandIns) -> list[Finding]:
    try:
        hazards = _judged(f"PRAGMA integrity_check({_NO_LIMIT})", path, stand_ins)
        unchecked: list[Finding] = []
    except DBAPIError as error:
        if is_about_the_file(error):
            raise
        # An expression of one table fails on its data: the others can still be checked, one by one.
        hazards, unchecked = _check_tables(path, stand_ins)
    found = [Finding(code, subject, message, count) for (code, subject, message), count in hazards.items()]
    return [*found, *stand_ins.findings(), *unchecked]


def _check_tables(path: str, stand_ins: _StandIns) -> tuple[_Hazards, list[Finding]]:
    hazards: _Hazards = Counter()
    unchecked = []
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND typeof(name) = 'text'"
    for (name,) in stand_ins.connection.exec_driver_sql(tables).fetchall():
        statement = 'PRAGMA integrity_check("{}")'.format(_as_text(name).replace('"', '""'))
        try:
            hazards += _judged(statement, path, stand_ins)
        except DBAPIError as error:
            if is_about_the_file(error):
                raise
            unchecked.append(Finding("unchecked", name, f"{name} could not be checked: {message_of(error)}"))
    return hazards, unchecked


_Hazards = Counter[tuple[FindingCode, str, str]]


def _messages(statement: str, stand_ins: _StandIns) -> Generator[str, None, None]:
    """The findings as they come; to be closed while the connection is open."""
    with closing(_start(statement, stand_ins)) as result:
        for (message,) in result.yield_per(1000):
            yield from _lines(_as_text(message))


def _start(statement: str, stand_ins: _StandIns) -> CursorResult[Any]:
    """SQLite prepares the whole check before its first finding, so it fails here until every stand-in is there."""
    while True:
        try:
            return stand_ins.connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if not stand_ins.add(error):
                raise


def _lines(message: str) -> list[str]:
    """Findings about pages come as one text under a heading; those about rows one by one."""
    if not message.startswith("***"):
        return [message] if message != "ok" else []
    return [line for line in message.splitlines() if not line.startswith("***")]


def _judged(statement: str, path: str, stand_ins: _StandIns) -> _Hazards:
    with closing(_messages(statement, stand_ins)) as messages:
        return _judge(messages, path, stand_ins)


def _judge(messages: Iterable[str], path: str, stand_ins: _StandIns) -> _Hazards:
    hazards: _Hazards = Counter()
    damage: list[str] = []
    excused: frozenset[str] | None = None
    for message in messages:
        if hazard := _hazard(message):
            hazards[hazard] += 1
            continue
        if excused is None:
            excused = stand_ins.touched()
        about = _ABOUT_ORDER.fullmatch(message)
        if not (about and about[1] in excused):
            damage.append(message)
        if len(damage) == _DAMAGE_SHOWN:
            break
    if damage:
        raise source_failure(DAMAGED, path, "\n  ".join(("integrity_check says", *damage)))
    return hazards


def _hazard(message: str) -> tuple[FindingCode, str, str] | None:
    for code, pattern in _HAZARDS:
        if match := pattern.fullmatch(message):
            return code, match[1], message
    return None
