"""Each hazard is found where it is, with its rows, and not beside it."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import migrator
from migrator.advise.analysis import analyze, to_json, to_text
from migrator.advise.hazards import HAZARDS, find_hazards
from migrator.advise.model import Analysis, Hazard, TableAnalysis
from migrator.mapping.filters import FILTERS
from migrator.source.connection import connect
from migrator.source.profile import profile_table
from migrator.source.reflection import reflect_schema
from migrator.source.snapshot import take_snapshot
from migrator.source.text import InvalidText

ROOT = Path(migrator.__file__).parents[2]


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("soundslike", 1, lambda value: value, deterministic=True)
        for statement in statements:
            connection.execute(statement)
    return path


def hazards(folder: Path, *statements: str) -> tuple[Hazard, ...]:
    return analyze(make(folder / "x.sqlite", *statements)).hazards


@dataclass(frozen=True)
class Case:
    """A minimal file with the hazard, and its neighbour without."""

    code: str
    fires: Sequence[str]
    neighbour: Sequence[str]
    columns: tuple[str, ...] = ()
    count: int = 1
    example: tuple[tuple[str, object], ...] | None = None  #: the first


def table(columns: str, *rows: str) -> list[str]:
    return [f"CREATE TABLE t ({columns})", *(f"INSERT INTO t VALUES {row}" for row in rows)]


TEXT_KEY = "k TEXT PRIMARY KEY"
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
DEEP, SHALLOW = "[" * 32 + "]" * 32, "[" * 31 + "]" * 31
LONGEST_VALUE = 400 * 1024 - len("id") - len("b") - 2  # the id takes two bytes

CASES = [
    Case(
        "null_in_key",
        table(TEXT_KEY, "(NULL), ('a')"),
        table(f"{TEXT_KEY}, v", "('a', NULL)"),
        ("k",),
        example=(("rowid", 1), ("k", None)),
    ),
    Case(
        "duplicate_key",
        table("a, b, PRIMARY KEY (a, b)", "(1, NULL), (1, NULL), (2, NULL)"),
        table("a, b, PRIMARY KEY (a, b)", "(1, NULL), (2, NULL)"),
        ("a", "b"),
        2,
        (("rowid", 1), ("a", 1), ("b", None)),
    ),
    Case(
        "mixed_key",
        table("k PRIMARY KEY", "(1), (2), ('x')"),
        table("k PRIMARY KEY", "(1), (2), (2.5)"),
        ("k",),
        example=(("rowid", 3), ("k", "x")),
    ),
    Case(
        "keys_meet_as_text",
        table("k PRIMARY KEY", "(1), ('1'), (x'31'), ('2')"),
        table("k PRIMARY KEY", "(1), ('2'), (x'33')"),
        ("k",),
        3,
    ),
    Case(
        "keys_meet_as_text",
        table("a TEXT, b TEXT, PRIMARY KEY (a, b)", "('a#b', 'c'), ('a', 'b#c')"),
        table("a TEXT, b TEXT, PRIMARY KEY (a, b)", "('a#b', 'c'), ('a', 'b#d')"),
        ("a", "b"),
        2,
    ),
    Case(
        "keys_meet_as_text",
        table("k PRIMARY KEY", "(0.1), ('0.1')"),
        table("k PRIMARY KEY", "(0.1), ('x'), (0.30000000000000004), (0.3)"),
        ("k",),
        2,
    ),
    Case("empty_key", table(TEXT_KEY, "(''), ('a')"), table(TEXT_KEY, "(' '), ('a')"), ("k",)),
    Case("empty_key", table("k BLOB PRIMARY KEY", "(x'')"), table("k BLOB PRIMARY KEY", "(x'00')"), ("k",)),
    Case(
        "empty_index_key",
        table("id INTEGER PRIMARY KEY, email TEXT UNIQUE", "(7, '')"),
        table("id INTEGER PRIMARY KEY, email TEXT", "(7, '')"),
        ("email",),
        example=(("id", 7),),
    ),
    Case(
        "key_too_long",
        table(TEXT_KEY, "(replace(hex(zeroblob(513)), '00', 'éé')), ('a')"),
        table(TEXT_KEY, "(replace(hex(zeroblob(512)), '00', 'éé')), ('a')"),
        ("k",),
    ),
    Case(
        "key_too_long",
        table("a, b, PRIMARY KEY (a, b)", "(1, zeroblob(1025))"),
        table("a, b, PRIMARY KEY (a, b)", "(1, zeroblob(1024))"),
        ("b",),
    ),
    Case(
        "equal_but_for_collation",
        table("id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE", "(1, 'Ann'), (2, 'ANN'), (3, 'Bo'), (4, 'Bo')"),
        table("id INTEGER PRIMARY KEY, name TEXT, x COLLATE NOCASE", "(1, 'Ann', 'a'), (2, 'ANN', 'a')"),
        ("name",),
        2,
    ),
    Case(
        "hot_partition",
        [
            "CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT)",
            "CREATE INDEX by_kind ON t (kind)",
            f"{NUMBERS} INSERT INTO t SELECT i, CASE WHEN i <= 2000 THEN 'hot' ELSE i END FROM n",
        ],
        [
            "CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT)",
            f"{NUMBERS} INSERT INTO t SELECT i, CASE WHEN i <= 2000 THEN 'hot' ELSE i END FROM n",
        ],
        ("kind",),
        2000,
        (("kind", "hot"),),
    ),
    Case(
        "invalid_utf8",
        table("id INTEGER PRIMARY KEY, v", "(3, CAST(x'ff' AS TEXT))"),
        table("id INTEGER PRIMARY KEY, v", "(3, x'ff')"),
        ("v",),
        example=(("id", 3),),
    ),
    Case(
        "not_finite",
        table("id INTEGER PRIMARY KEY, v", "(1, 9e999), (2, -9e999)"),
        table("id INTEGER PRIMARY KEY, v", "(1, 1e100)"),
        ("v",),
        2,
    ),
    Case(
        "number_out_of_range",
        table("id INTEGER PRIMARY KEY, v", "(1, 1e126), (2, -1.7976931348623157e308), (3, 1e-131)"),
        table("id INTEGER PRIMARY KEY, v", "(1, 9.9e125), (2, 1e-130), (3, 0.0), (4, 9e999)"),
        ("v",),
        3,
    ),
    Case(
        "number_too_precise",
        # NUMERIC affinity would make a REAL of it; the quoted type has TEXT affinity.
        table('id INTEGER PRIMARY KEY, v "DECIMAL(50) TEXT"', f"(1, '{'9' * 39}'), (2, '{'9' * 38}0')"),
        table('id INTEGER PRIMARY KEY, v "DECIMAL(50) TEXT", w TEXT', f"(1, '{'9' * 38}', '{'9' * 39}')"),
        ("v",),
    ),
    Case(
        "integer_beyond_double",
        table("id INTEGER PRIMARY KEY, v", "(1, 9007199254740993), (2, -9007199254740993), (3, 'x')"),
        table("id INTEGER PRIMARY KEY, v", "(1, 9007199254740992), (2, -9007199254740992), (3, 1e300)"),
        ("v",),
        2,
    ),
    Case(
        "rounded_decimal",
        table("id INTEGER PRIMARY KEY, v DECIMAL(30, 20)", "(1, '0.12345678901234567890')"),
        table("id INTEGER PRIMARY KEY, v DECIMAL(30, 20), w REAL", "(1, '19.99', 0.30000000000000004)"),
        ("v",),
    ),
    Case(
        "nul_in_text",
        table("id INTEGER PRIMARY KEY, v", "(1, 'a' || char(0) || 'b')"),
        table("id INTEGER PRIMARY KEY, v", "(1, x'6100'), (2, '')"),
        ("v",),
    ),
    Case(
        "json_too_deep",
        table("id INTEGER PRIMARY KEY, v JSON", f"(1, '{DEEP}'), (2, '{SHALLOW}')"),
        table("id INTEGER PRIMARY KEY, v JSON, w TEXT", f"(1, '{SHALLOW}', '{DEEP}'), (2, '{'[' * 40}', 1)"),
        ("v",),
    ),
    Case(
        "item_too_large",
        table("id INTEGER PRIMARY KEY, b", f"(1, zeroblob({LONGEST_VALUE + 1})), (2, 1)"),
        table("id INTEGER PRIMARY KEY, b", f"(1, zeroblob({LONGEST_VALUE})), (2, 1)"),
        example=(("id", 1),),
    ),
    Case("key_name_clash", table("id INTEGER PRIMARY KEY, GSI1PK"), table("id INTEGER PRIMARY KEY, PKG"), ("GSI1PK",)),
    Case("key_name_clash", table("id INTEGER PRIMARY KEY, ttl"), table("id INTEGER PRIMARY KEY, total"), ("ttl",)),
    Case("similar_names", table("id INTEGER PRIMARY KEY, pk"), table("id INTEGER PRIMARY KEY, p"), ("pk",)),
    Case("similar_names", table("id INTEGER PRIMARY KEY, é, É"), table("id INTEGER PRIMARY KEY, é, e"), ("é", "É")),
    Case("empty_name", table('id INTEGER PRIMARY KEY, ""'), table('id INTEGER PRIMARY KEY, " "'), ("",)),
    Case("no_key", table("a", "(1), (2)"), table("a INTEGER PRIMARY KEY", "(1), (2)"), (), 2),
    Case(
        "view_without_key",
        ["CREATE VIEW v AS SELECT 1 AS a UNION ALL SELECT 1"],
        ["CREATE VIEW v AS SELECT 1 AS a UNION ALL SELECT 2"],
    ),
    Case(
        "unreadable",
        ["CREATE TABLE t (a PRIMARY KEY)", "CREATE VIEW v AS SELECT b FROM t"],
        ["CREATE TABLE t (a PRIMARY KEY)", "CREATE VIEW v AS SELECT a FROM t"],
    ),
    Case(
        "unreadable_column",
        [*table("a PRIMARY KEY", "('no json')"), "ALTER TABLE t ADD COLUMN g AS (json_extract(a, '$.x'))"],
        table("a PRIMARY KEY, g AS (json_extract(a, '$.x'))", "('{}')"),
        ("g",),
    ),
    Case(
        "contentless",
        ["CREATE VIRTUAL TABLE t USING fts5 (body, content = '')", "INSERT INTO t (rowid, body) VALUES (1, 'a')"],
        ["CREATE VIRTUAL TABLE t USING fts5 (body)", "INSERT INTO t (rowid, body) VALUES (1, 'a')"],
    ),
    Case(
        "dangling_foreign_key",
        [
            "CREATE TABLE p (id INTEGER PRIMARY KEY)",
            *table("id INTEGER PRIMARY KEY, p REFERENCES p", "(5, 9), (6, NULL)"),
        ],
        [
            "CREATE TABLE p (id INTEGER PRIMARY KEY)",
            "INSERT INTO p VALUES (9)",
            *table("id INTEGER PRIMARY KEY, p REFERENCES p", "(5, 9), (6, NULL)"),
        ],
        ("p",),
        example=(("id", 5),),
    ),
    Case(
        "dangling_foreign_key",
        table("id INTEGER PRIMARY KEY, p REFERENCES missing", "(5, 9), (6, NULL)"),
        table("id INTEGER PRIMARY KEY, p REFERENCES missing", "(6, NULL)"),
        ("p",),
    ),
    Case(
        "broken_rule",
        ["PRAGMA ignore_check_constraints = ON", *table("a INTEGER PRIMARY KEY CHECK (a > 0)", "(-1), (-2)")],
        table("a INTEGER PRIMARY KEY CHECK (a > 0)", "(1)"),
        (),
        2,
    ),
    Case(
        "unchecked",
        table("a INTEGER PRIMARY KEY, b CHECK (soundslike(b))"),
        table("a INTEGER PRIMARY KEY, b CHECK (lower(b))"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_hazard_is_found_with_its_rows(tmp_path: Path, case: Case) -> None:
    (found,) = [hazard for hazard in hazards(tmp_path, *case.fires) if hazard.code == case.code]
    assert (found.columns, found.count) == (case.columns, case.count)
    if case.example is not None:
        assert found.examples[0] == case.example


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_its_neighbour_is_left_alone(tmp_path: Path, case: Case) -> None:
    assert case.code not in [hazard.code for hazard in hazards(tmp_path, *case.neighbour)]


def test_every_code_has_a_case() -> None:
    assert {case.code for case in CASES} == set(HAZARDS)


def test_every_code_stands_in_the_page_with_its_severity() -> None:
    page = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert documented == [(code, known.severity) for code, known in HAZARDS.items()]


@pytest.mark.parametrize("code", HAZARDS)
def test_a_way_out_names_only_filters_that_there_are(code: str) -> None:
    named = re.findall(r"\bfilters? (\w+)", HAZARDS[code].way_out) + re.findall(r"\|(\w+)", HAZARDS[code].way_out)
    assert set(named) <= set(FILTERS)


def test_the_gravest_come_first(tmp_path: Path) -> None:
    found = hazards(
        tmp_path,
        "CREATE TABLE a (v)",
        "INSERT INTO a VALUES (1)",
        *table("k PRIMARY KEY, v", "(1, 9e999), ('x', 1)"),
    )
    assert [hazard.severity for hazard in found] == ["loses", "changes", "watch"]


def test_no_more_than_five_rows_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    (found,) = hazards(
        tmp_path, *table("id INTEGER PRIMARY KEY, v"), f"{NUMBERS} INSERT INTO t SELECT i, 9e999 FROM n WHERE i <= 70"
    )
    assert (found.count, [value for ((_, value),) in found.examples]) == (70, [1, 2, 3, 4, 5])


def test_an_example_whose_key_is_not_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    (found,) = hazards(tmp_path, *table(TEXT_KEY, "(CAST(x'ff' AS TEXT))"))
    ((_, value),) = found.examples[0]
    assert value == InvalidText(b"\xff")


def test_a_column_of_an_unknown_collation_is_looked_at_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("PHONEBOOK", lambda a, b: (a < b) - (a > b))
        connection.execute("CREATE TABLE t (k COLLATE PHONEBOOK PRIMARY KEY, n COLLATE NOCASE)")
        connection.execute("INSERT INTO t VALUES ('', 'a'), (1e200, 'A'), (1 << 60, 0.1)")
    with connect(take_snapshot(path)) as connection:
        schema = reflect_schema(connection, str(path))
        tables = tuple(TableAnalysis(table, profile_table(connection, table)) for table in schema.tables)
        found = find_hazards(connection, Analysis(str(path), 0, "rollback", schema, tables, ()))
    assert {hazard.code for hazard in found} == {
        "empty_key",
        "mixed_key",
        "number_out_of_range",
        "integer_beyond_double",
        "equal_but_for_collation",
    }


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_hazards_do_not_depend_on_the_files_encoding(tmp_path: Path, encoding: str) -> None:
    found = hazards(
        tmp_path,
        f"PRAGMA encoding = '{encoding}'",
        *table(f"{TEXT_KEY}, v JSON", f"('', '{DEEP}'), ('a', 'x' || char(0))"),
    )
    assert [hazard.code for hazard in found] == ["empty_key", "json_too_deep", "nul_in_text"]


def test_odd_names_are_looked_at(tmp_path: Path) -> None:
    (found,) = hazards(
        tmp_path, 'CREATE TABLE "a""b" ("x y" INTEGER PRIMARY KEY, "{v}")', 'INSERT INTO "a""b" VALUES (1, 9e999)'
    )
    assert (found.table, found.columns, found.examples) == ('a"b', ("{v}",), ((("x y", 1),),))


# ---- files that are clean, or nearly


#: Exact integers beyond 2^53 are what these fixtures are there to prove; DynamoDB keeps them, JavaScript would not.
EXPECTED = {
    "items": set(),
    "jobs": set(),
    "users": set(),
    "products": {("integer_beyond_double", "products", "id")},
    "madmall": {
        ("integer_beyond_double", "users", "legacy_member_no"),
        ("integer_beyond_double", "user_stats", "helpful_votes"),
        ("integer_beyond_double", "stories", "views"),
        ("integer_beyond_double", "comments", "comment_id"),
        ("integer_beyond_double", "resources", "content_bytes"),
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_fires_on_a_clean_file_but_what_is_there(name: str) -> None:
    found = analyze(ROOT / "fixtures" / f"{name}.sqlite").hazards
    assert {(hazard.code, hazard.table, *hazard.columns) for hazard in found} == EXPECTED[name]


@pytest.mark.skipif("MIGRATOR_REAL_DATA" not in os.environ, reason="MIGRATOR_REAL_DATA names no folder")
@pytest.mark.parametrize(
    ("name", "code", "count"),
    [
        ("proj", "null_in_key", 23_801),
        ("proj", "duplicate_key", 23_801),
        ("load_statistics", "invalid_utf8", 1),
        ("ios_netusage", "number_out_of_range", 34),
        ("sakila", "unreadable", 1),
        ("chrome_history", "integer_beyond_double", 55),
    ],
)
def test_what_is_known_of_real_files_is_found(name: str, code: str, count: int) -> None:
    path = Path(os.environ["MIGRATOR_REAL_DATA"]) / f"{name}.sqlite"
    assert count in [hazard.count for hazard in analyze(path).hazards if hazard.code == code]


# ---- what a person and a script read


def test_text_tells_the_rows_and_the_way_out(tmp_path: Path) -> None:
    text = to_text(analyze(make(tmp_path / "x.sqlite", *table("id INTEGER PRIMARY KEY, v", "(3, 9e999), (4, -9e999)"))))
    (paragraph,) = [part for part in text.split("\n\n") if part.startswith("Hazards")]
    assert paragraph.splitlines() == [
        "Hazards: 1 place to look at",
        "  Would be lost or refused",
        "    not_finite: an infinity, which DynamoDB's numbers do not have",
        "      t (v): 2 rows with an infinity, such as id 3, 4",
        "      → the filter storable writes it as text; nullif leaves it out",
    ]


def test_text_says_when_there_are_none(tmp_path: Path) -> None:
    assert "Hazards: none found" in to_text(analyze(make(tmp_path / "x.sqlite", *table("a INTEGER PRIMARY KEY"))))


def test_the_least_integer_beside_a_real_stops_nothing(tmp_path: Path) -> None:
    found = hazards(tmp_path, *table("id INTEGER PRIMARY KEY, v", "(1, -9223372036854775808), (2, 9e999)"))
    assert [hazard.code for hazard in found] == ["not_finite", "integer_beyond_double"]


def test_json_has_every_hazard_with_its_rows(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", *table("a, b, PRIMARY KEY (a, b)", "(1, ''), (1, 'x')"))
    assert to_json(analyze(path))["hazards"] == [
        {
            "code": "empty_key",
            "severity": "loses",
            "table": "t",
            "columns": ["b"],
            "message": "1 row with an empty key",
            "count": 1,
            "examples": [{"rowid": 1, "a": 1, "b": ""}],
            "way_out": HAZARDS["empty_key"].way_out,
        }
    ]
