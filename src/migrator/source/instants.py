"""The moments that a column's values name, in SQL: the same values that the mapping's filters take for dates.

Whole numbers that are no date, such as a version that grows, are moments of their own clock.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from migrator.source.relation import Relation, quote

# A number below is a Julian day (if REAL), seconds, or milliseconds; larger ones are nothing that is known.
_JULIAN_BELOW, _SECONDS_BELOW, _MILLISECONDS_BELOW = "5373485", "1e11", "1e14"
_EPOCH_AS_JULIAN_DAY = "2440587.5"
# julianday() knows more: times alone, numbers, and "now".
_DATE = "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"


def instant(column: str) -> str:
    """Seconds, as an SQL expression; NULL where a value names no moment. Text is ISO 8601, and naive text is UTC.

    >>> import sqlite3
    >>> values = [(1700000000,), (1700000000000,), (2460263.4259259259,), ("2023-11-14T22:13:20Z",), ("soon",), (None,)]
    >>> db = sqlite3.connect(":memory:")
    >>> [db.execute(f"SELECT round({instant('c')}) FROM (SELECT ? AS c)", row).fetchone()[0] for row in values]
    [1700000000.0, 1700000000.0, 1700000000.0, 1700000000.0, None, None]
    """
    name = quote(column)
    from_julian = f"({{}} - {_EPOCH_AS_JULIAN_DAY}) * 86400.0"
    return (
        f"CASE WHEN typeof({name}) = 'text' AND {name} GLOB {_DATE} THEN {from_julian.format(f'julianday({name})')}"
        f" WHEN typeof({name}) = 'real' AND {name} >= 0 AND {name} < {_JULIAN_BELOW} THEN {from_julian.format(name)}"
        f" WHEN typeof({name}) NOT IN ('integer', 'real') THEN NULL"
        f" WHEN abs({name}) < {_SECONDS_BELOW} THEN {name} * 1.0"
        f" WHEN abs({name}) < {_MILLISECONDS_BELOW} THEN {name} / 1000.0 END"
    )


def not_before(column: str, instant_s: float) -> str:
    """A condition for the rows that are not older, and for those that name no moment."""
    return f"coalesce({instant(column)} >= {instant_s!r}, 1)"


def greatest(connection: Connection, relation: Relation, column: str) -> float | None:
    """The latest moment in a column; None where it names none."""
    alias = " AS query" if relation.kind == "query" else ""
    query = f"SELECT max({instant(column)}) FROM {relation.from_sql}{alias}"
    found: float | None = connection.exec_driver_sql(query).scalar_one()
    return found
