"""Does SQLite understand what a user wrote? Asked by compiling it (EXPLAIN, LIMIT 0), never by reading a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.source.relation import Relation, as_subquery

Clause = Literal["where", "order_by", "condition"]

_CLAUSES: dict[Clause, str] = {
    "where": "SELECT 1 FROM {source} WHERE ({text})",
    "order_by": "SELECT 1 FROM (SELECT 1 FROM {source} ORDER BY {text})",
    "condition": "SELECT ({text}) FROM {source}",
}
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?P<name>(?:[^"]|"")*)"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)""", re.DOTALL
)
_NO_COLUMN = re.compile(r"no such column: (?P<name>.*)", re.DOTALL)


def clause_problem(connection: Connection, relation: Relation, clause: Clause, text: str) -> str | None:
    """SQLite's objection to a condition or order over a relation, or None."""
    source = relation.from_sql if relation.name else f"{relation.from_sql} AS query"
    # With "1) OR (1" the user's text would leave the brackets that hold it together.
    if not _balanced(text):
        return "its brackets do not match"
    return query_problem(connection, _CLAUSES[clause].format(source=source, text=text))


def query_problem(connection: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> str | None:
    """SQLite's objection to a query, or None.

    A name in double quotes that SQLite does not know is silently taken for text ("The double-quoted string
    literal misfeature", quirks.html); in backquotes it never is.
    """
    try:
        connection.exec_driver_sql(f"EXPLAIN {_TOKEN.sub(_backquoted, query)}", parameters).close()
    except DBAPIError as error:
        return str(error.orig)
    return None


class Select(Struct, frozen=True):
    """A user's SELECT that SQLite understands: its :parameters and the names of its result, both in order."""

    parameters: tuple[str, ...]
    columns: tuple[str, ...]


class _Wanted(dict[str, None]):
    """Collects the names of the parameters that sqlite3 asks for: SQLite's own parser finds them, not ours."""

    def __missing__(self, name: str) -> None:
        self[name] = None


def compile_select(connection: Connection, text: str) -> Select | str:
    """What a SELECT takes and gives, or SQLite's objection to it.

    As a subquery it can be nothing but one SELECT. Of two result columns with one name, SQLite calls the
    second `name:1`.
    """
    if not _balanced(text):
        return "its brackets do not match"
    query, wanted = f"SELECT * FROM {as_subquery(text)}", _Wanted()
    problem = query_problem(connection, query, wanted)
    if problem is not None:
        return problem
    cursor = connection.exec_driver_sql(f"{query} LIMIT 0", wanted).cursor
    return Select(tuple(wanted), tuple(description[0] for description in cursor.description))


def missing_column(problem: str) -> str | None:
    """The column that SQLite's objection says is missing.

    >>> missing_column("no such column: placed"), missing_column("near \\"FORM\\": syntax error")
    ('placed', None)
    """
    match = _NO_COLUMN.fullmatch(problem)
    return match["name"] if match else None


def _backquoted(match: re.Match[str]) -> str:
    if match["name"] is None:
        return match[0]
    return "`" + match["name"].replace('""', '"').replace("`", "``") + "`"


def _balanced(text: str) -> bool:
    """
    >>> _balanced("a IN (1, 2) AND b = ')'"), _balanced("1) OR (1")
    (True, False)
    """
    depth = 0
    for bracket in re.findall(r"[()]", _TOKEN.sub("", text)):
        depth += 1 if bracket == "(" else -1
        if depth < 0:
            return False
    return depth == 0
