"""Access patterns against a schema: where their names get their values, and what does not fit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import DocumentError
from migrator.mapping.bind import bind
from migrator.mapping.document import load_mapping
from migrator.mapping.model import AccessPattern
from migrator.source.connection import connect
from migrator.source.reflection import reflect_schema
from migrator.source.snapshot import take_snapshot

SHOP = """
CREATE TABLE users (user_id INTEGER PRIMARY KEY, Email TEXT, active BOOLEAN);
CREATE TABLE notes (note TEXT);
CREATE TABLE tags (tag TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE VIEW late AS SELECT * FROM users;
"""
MAPPING = """
table: {name: shop, partition_key: PK}
entities:
  User: {source: users, key: {PK: "{user_id}"}}
  Note: {source: notes, key: {PK: "{@rowid}"}}
  Tag: {source: tags, key: {PK: "{tag}"}}
  Late: {source: late, key: {PK: "{user_id}"}}
access_patterns:
"""
Bind = Callable[..., Any]


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bind]:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("shop.sqlite")) as database:
        database.executescript(SHOP)
    with connect(take_snapshot("shop.sqlite")) as connection:
        schema = reflect_schema(connection, "shop.sqlite")

        def fit(*patterns: str) -> tuple[AccessPattern, ...]:
            lines = "\n".join(f"  p{number}: {{{pattern}}}" for number, pattern in enumerate(patterns))
            Path("shop.yaml").write_text(MAPPING + lines, encoding="utf-8")
            return bind(load_mapping("shop.yaml"), schema, connection).access_patterns

        yield fit


@pytest.fixture
def problems(bound: Bind) -> Bind:
    def of(*patterns: str) -> list[str]:
        with pytest.raises(DocumentError) as caught:
            bound(*patterns)
        return [str(problem).removeprefix("shop.yaml: access_patterns.") for problem in caught.value.problems]

    return of


@pytest.mark.parametrize(
    ("pattern", "sampled"),
    [
        ("entity: User, key: {PK: '{user_id}'}", ("user_id",)),
        ("entity: User, key: {PK: '{USER_ID}'}, sql: SELECT * FROM users WHERE email = :email", ("USER_ID", "email")),
        ("entity: User, key: {PK: '{user_id}'}, params: {user_id: 1}", ()),
        ("entity: User, filter: {a: '{x}', b: '{active}'}, params: {x: 1}", ("active",)),
        ("entity: Note, key: {PK: '{@rowid}'}", ("@rowid",)),
        ("entity: User, sql: \"SELECT * FROM users WHERE Email = ':no' AND Email = @email -- :no\"", ("email",)),
    ],
)
def test_a_name_is_a_parameter_or_else_a_column(bound: Bind, pattern: str, sampled: tuple[str, ...]) -> None:
    (fitted,) = bound(pattern)
    assert fitted.sampled == sampled


def test_an_unfiltered_column_of_a_filter_is_compared_as_its_declared_type_says(bound: Bind) -> None:
    (fitted,) = bound("entity: User, filter: {a: '{active}', b: '{active|number}', c: 'x{active}'}")
    hints = [[column.hint for column in condition.operands[0].columns()] for condition in fitted.filter]
    assert hints == [["bool"], [""], [""]]


def test_unknown_names_are_told_all_at_once(problems: Bind) -> None:
    found = problems(
        "entity: User, key: {PK: '{id}'}, filter: {a: '{mail}'}, sql: SELECT * FROM users WHERE active = :activ",
        "entity: Tag, key: {PK: '{@rowid}'}",
        "entity: User, key: {PK: '{user_id}'}, params: {userid: 1}",
    )
    known = "columns: user_id, Email, active"
    assert found == [
        f'p0.key.PK: "id" is neither a column of table "users" nor a parameter\n  {known}\n  params: none',
        'p0.filter.a: "mail" is neither a column of table "users" nor a parameter\n'
        f'  {known}.  Did you mean "Email"?\n  params: none',
        'p0.sql: "activ" is neither a column of table "users" nor a parameter\n'
        f'  {known}.  Did you mean "active"?\n  params: none',
        'p1.key.PK: @rowid: table "tags" has no rowid',
        "p2.params.userid: nothing asks for it",
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM users",
        "SELECT active, USER_ID FROM users;",
        "WITH u AS (SELECT * FROM users) SELECT * FROM u -- the end",
        "SELECT * FROM users WHERE active UNION SELECT * FROM users",
    ],
)
def test_sql_that_gives_the_source_key_fits(bound: Bind, sql: str) -> None:
    assert bound(f'entity: User, sql: "{sql}"')


@pytest.mark.parametrize(
    ("entity", "sql", "expected"),
    [
        ("User", "SELECT * FROM user", "SQLite refuses the query: no such table: user"),
        ("User", "DELETE FROM users", 'SQLite refuses the query: near "DELETE": syntax error'),
        ("User", "SELECT * FROM users; SELECT 1", 'SQLite refuses the query: near ";": syntax error'),
        ("User", "SELECT * FROM users) UNION SELECT (1", "SQLite refuses the query: its brackets do not match"),
        ("User", "SELECT * FROM users WHERE user_id = ?", "SQLite refuses the query: Binding 1 has no name"),
        ("User", 'SELECT * FROM users WHERE Email = \\"x\\"', "SQLite refuses the query: no such column: x"),
        ("User", "SELECT Email FROM users", 'its result lacks "user_id", the key of table "users"\n  SELECT * has'),
        ("Note", "SELECT * FROM notes", 'its result lacks "rowid", the key of table "notes"\n  SELECT rowid, * has it'),
        ("User", "SELECT * FROM users a JOIN users b", 'its result has "user_id" more than once'),
        ("Late", "SELECT * FROM late", 'view "late" has no key to match the rows of SQL by'),
    ],
)
def test_sql_that_cannot_be_matched_is_refused(problems: Bind, entity: str, sql: str, expected: str) -> None:
    (problem,) = problems(f'entity: {entity}, sql: "{sql}"')
    assert problem.startswith(f"p0.sql: {expected}")


def test_a_pattern_of_an_entity_that_does_not_fit_adds_no_problem_of_its_own(bound: Bind, tmp_path: Path) -> None:
    text = (MAPPING + "  p: {entity: User, key: {PK: '{x}'}}").replace("source: users", "source: user")
    (tmp_path / "other.yaml").write_text(text, encoding="utf-8")
    with connect(take_snapshot("shop.sqlite")) as connection, pytest.raises(DocumentError) as caught:
        bind(load_mapping("other.yaml"), reflect_schema(connection, "shop.sqlite"), connection)
    assert [problem.path for problem in caught.value.problems] == ["entities.User.source"]
