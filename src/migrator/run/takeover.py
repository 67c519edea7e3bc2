"""A draft becomes the ledger, in one transaction: what did not change stays where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from migrator.run.draft import Draft
from migrator.run.ledgerfile import LEDGER, LedgerFile
from migrator.run.statefile import state_errors
from migrator.run.vanished import Scope

# Tables that were made anew have nothing of what the ledger knows.
_FORGET_TABLE = (
    "DELETE FROM pages WHERE part IN (SELECT part FROM parts JOIN units USING (unit) WHERE tbl = ?)",
    "DELETE FROM parts WHERE unit IN (SELECT unit FROM units WHERE tbl = ?)",
    "DELETE FROM units WHERE tbl = ?",
    "DELETE FROM strays WHERE tbl = ?",
)
_REPLACED = """SELECT part FROM main.parts WHERE unit IN (SELECT unit FROM both)
    AND part NOT IN (SELECT carried FROM draft.parts WHERE carried IS NOT NULL)"""
_TAKE_OVER = (
    """INSERT INTO main.units (entity, source, tbl, walk) SELECT entity, source, tbl, walk FROM draft.units WHERE true
       ON CONFLICT (entity, source, tbl) DO UPDATE SET walk = excluded.walk""",
    # The units of the run, by their numbers in both files.
    """CREATE TEMP TABLE both AS SELECT ours.unit AS unit, theirs.unit AS theirs
       FROM main.units ours JOIN draft.units theirs USING (entity, source, tbl)""",
    f"DELETE FROM main.pages WHERE part IN ({_REPLACED})",
    f"DELETE FROM main.parts WHERE part IN ({_REPLACED})",
    """UPDATE main.parts SET segment = theirs.segment, done = theirs.done
       FROM draft.parts theirs WHERE theirs.carried = main.parts.part""",
    "CREATE TEMP TABLE shift AS SELECT coalesce(max(part), 0) AS parts FROM main.parts",
    """INSERT INTO main.parts (part, unit, segment, done, high, items)
       SELECT shift.parts + part, both.unit, segment, done, high, items
       FROM shift, draft.parts theirs JOIN both ON both.theirs = theirs.unit WHERE carried IS NULL""",
    "INSERT INTO main.pages SELECT shift.parts + part, place, rows, digests, names, keys FROM shift, draft.pages",
    "DROP TABLE both",
    "DROP TABLE shift",
    "INSERT OR REPLACE INTO main.strays SELECT tbl, key, entity, source, name FROM draft.missing WHERE held",
)


def take_over(base: LedgerFile, draft: Draft, run_id: str, identities: Mapping[str, str], scope: Scope) -> None:
    """`identities`: what tells the tables of the run from others of their names."""
    with _attached(base, draft), base.transaction() as connection:
        for table in scope.void:
            for statement in _FORGET_TABLE:
                connection.execute(statement, (table,))
        if scope.entities is None:
            connection.execute("DELETE FROM strays")
        else:
            connection.executemany("DELETE FROM strays WHERE entity = ?", ((entity,) for entity in scope.entities))
        for statement in _TAKE_OVER:
            connection.execute(statement)
        connection.execute("INSERT OR REPLACE INTO facts VALUES ('run_id', ?)", (run_id,))
        connection.executemany("INSERT OR REPLACE INTO tables VALUES (?, ?)", identities.items())


@contextmanager
def _attached(base: LedgerFile, draft: Draft) -> Iterator[None]:
    with state_errors(base.path, LEDGER):
        base.connection.execute("ATTACH ? AS draft", (str(draft.path.absolute()),))
        try:
            yield
        finally:
            base.connection.execute("DETACH draft")
