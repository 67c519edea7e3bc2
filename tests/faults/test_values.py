"""Names and values as SQLite has them and nobody expects them: faults 6 and 14 to 18."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from migration import Migration, plain_values, rejected
from oracle_rows import LARGEST, SMALLEST, Entity, expected_of

PAGE_BYTES = 4096
ROWS = 1200
ROW = Entity("Row", "rows", "id")


def script(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# ---- 6: a damaged page in the middle


def overwritten(page: bytearray) -> None:
    page[:] = b"\xff" * PAGE_BYTES


def of_fewer_rows(page: bytearray) -> None:
    """The page's header counts its cells: rows vanish, and reading meets no error."""
    page[3:5] = (int.from_bytes(page[3:5], "big") // 2).to_bytes(2, "big")


def is_leaf(page: bytearray) -> bool:
    return page[0] == 13


def is_overflow(page: bytearray) -> bool:
    """The rest of a row, but for its end: it begins with the number of the page where it goes on."""
    return page[0] == 0 and any(page[:4])


def damage(path: Path, which: Callable[[bytearray], bool], spoil: Callable[[bytearray], None]) -> None:
    """Spoil the first such page of the file's second half."""
    content = bytearray(path.read_bytes())
    pages = [content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES)]
    spoil(next(page for page in pages[len(pages) // 2 :] if which(page)))
    path.write_bytes(b"".join(pages))


def fill(path: Path, pad_bytes: int) -> None:
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
    script(
        path,
        f"PRAGMA page_size={PAGE_BYTES}",
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, pad BLOB)",
        f"{numbers} INSERT INTO rows SELECT i, zeroblob({pad_bytes}) FROM n",
    )


@pytest.mark.parametrize("spoil", [overwritten, of_fewer_rows])
def test_06_a_damaged_page_is_found_before_anything_is_written(
    migration: Migration, spoil: Callable[[bytearray], None]
) -> None:
    fill(migration.source, pad_bytes=100)
    damage(migration.source, is_leaf, spoil)
    migration.write(ROW)
    migration.assert_stopped(migration.run(), "source_damaged")
    assert not migration.items()


def test_06_a_damaged_page_met_on_the_way_stops_the_run_with_exact_counts(migration: Migration) -> None:
    # A row of 13 KB goes on in other pages, which are met when its content is read.
    fill(migration.source, pad_bytes=13_000)
    whole = plain_values(expected_of(migration.source, ROW).items)
    damage(migration.source, is_overflow, overwritten)
    migration.write(ROW, integrity_check="off")
    outcome = migration.run()
    migration.assert_stopped(outcome, "source_damaged")
    row = outcome.entity("Row")
    assert 0 < row["read"] == row["items"] == row["written"] < ROWS
    assert plain_values(migration.items()).items() <= whole.items()


# ---- 14: names


ODD_NAMES = ["a b", "order", 'a"b', "x.y", "日本", "tbl;drop", "a'b", "{id}", "#x", "select * from x", "A`b", "[c]"]


def test_14_tables_and_columns_of_any_name_arrive(migration: Migration) -> None:
    entities = [Entity(f"E{n}", name, "id", prefix=f"E{n}") for n, name in enumerate(ODD_NAMES)]
    for name in ODD_NAMES:
        quoted = '"{}"'.format(name.replace('"', '""'))
        script(
            migration.source,
            f"CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, {quoted} TEXT)",
            f"INSERT INTO {quoted} VALUES (1, 'one'), (2, NULL)",
        )
    migration.write(*entities)
    migration.assert_holds(migration.run(), expected_of(migration.source, *entities))


def test_14_a_table_and_a_column_without_a_name_arrive(migration: Migration) -> None:
    script(migration.source, 'CREATE TABLE "" (id INTEGER PRIMARY KEY, "" TEXT)', "INSERT INTO \"\" VALUES (1, 'one')")
    migration.write(more={"Nameless": {"source": "", "key": {"PK": "{id}"}, "attributes": {"text": '""'}}})
    outcome = migration.run()
    assert outcome.exit_code == 0, outcome.stderr
    assert migration.items() == {("1",): {"PK": {"S": "1"}, "text": {"S": "one"}}}


def test_14_every_kind_of_table_arrives(migration: Migration) -> None:
    script(
        migration.source,
        "CREATE TABLE made (id INTEGER PRIMARY KEY, a TEXT, v AS (a || '!'), s AS (length(a)) STORED)",
        "INSERT INTO made VALUES (1, 'one'), (2, 'three')",
        "CREATE VIEW seen AS SELECT id, upper(a) AS a FROM made",
        "CREATE TABLE keyed (v TEXT, b INT, k TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO keyed VALUES ('x', 1, 'b'), ('y', 2, 'a')",
        "CREATE VIRTUAL TABLE words USING fts5(k, body)",
        "INSERT INTO words VALUES ('w1', 'some text'), ('w2', 'more')",
        "CREATE VIRTUAL TABLE boxes USING rtree(id, low, high)",
        "INSERT INTO boxes VALUES (1, 0.5, 1.5)",
    )
    kinds = {"made": "id", "seen": "id", "keyed": "k", "words": "k", "boxes": "id"}
    entities = [Entity(name.title(), name, key, prefix=name) for name, key in kinds.items()]
    migration.write(*entities)
    expected = expected_of(migration.source, *entities)
    assert expected.items["made#2",]["v"] == {"S": "three!"}
    migration.assert_holds(migration.run(), expected)


@pytest.mark.parametrize(
    "entity",
    [
        {"attributes": {"a": "nmae"}},
        {"where": "\"nmae\" = 'x'"},
        {"key": {"PK": '{"nmae"}'}},
        {"source": {"query": 'SELECT id, "nmae" FROM made', "key": ["id"]}},
    ],
    ids=["attribute", "condition", "template", "query"],
)
def test_14_a_misspelt_column_is_an_error_and_no_text(migration: Migration, entity: dict[str, Any]) -> None:
    script(
        migration.source, "CREATE TABLE made (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO made VALUES (1, 'x')"
    )
    migration.write(more={"Made": {"source": "made", "key": {"PK": "{id}"}} | entity})
    outcome = migration.run()
    assert outcome.exit_code == 2, outcome.stdout
    assert "nmae" in outcome.stderr
    assert not migration.items()


# ---- 15 to 18: values


def test_15_values_of_another_class_than_their_column_declares_arrive_as_they_are(migration: Migration) -> None:
    script(
        migration.source,
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, i INTEGER, t TEXT, b BLOB, r REAL)",
        "INSERT INTO rows VALUES (1, 'abc', x'00ff', 'text', 'N/A'), (2, 12.5, 7, 1.25, x'01'), (3, x'31', '', 1, 2)",
    )
    migration.write(ROW)
    expected = expected_of(migration.source, ROW)
    assert expected.items["K#1",]["i"] == {"S": "abc"}
    assert expected.items["K#2",]["i"] == {"N": "12.5"}
    migration.assert_holds(migration.run(), expected)


def test_15_one_instant_in_every_form_becomes_one_number(migration: Migration) -> None:
    evening = ["'2026-01-02 18:00'", "'2026-01-02T18:00:00Z'", "'2026-01-02T19:00:00+01:00'"]
    evening += ["1767376800", "1767376800000", "1767376800.0", "2461043.25"]
    script(
        migration.source,
        "CREATE TABLE times (id INTEGER PRIMARY KEY, at DATETIME)",
        *(f"INSERT INTO times (at) VALUES ({form})" for form in [*evening, "'2024-02-30'"]),
    )
    migration.write(more={"Time": {"source": "times", "key": {"PK": "{id}"}, "attributes": {"at": "at|epoch"}}})
    outcome = migration.run()
    assert [item["at"] for _, item in sorted(migration.items().items())] == [{"N": "1767376800"}] * len(evening)
    assert [(line["row"], line["code"]) for line in rejected(outcome)] == [({"id": {"N": "8"}}, "not_a_date")]


def test_16_text_with_nul_arrives_whole_also_in_the_reject_file(migration: Migration) -> None:
    script(
        migration.source,
        "CREATE TABLE rows (id TEXT PRIMARY KEY, v)",
        "INSERT INTO rows VALUES (CAST(x'610062' AS TEXT), CAST(x'00630064' AS TEXT)), ('a', 'cut short')",
        "INSERT INTO rows VALUES (CAST(x'620000' AS TEXT), CAST(x'ff' AS TEXT))",
    )
    migration.write(ROW)
    expected = expected_of(migration.source, ROW)
    assert expected.items["K#a\0b",]["v"] == {"S": "\0c\0d"}
    assert [(row, code) for _, row, code in expected.rejects] == [('{"id": {"S": "b\\u0000\\u0000"}}', "invalid_utf8")]
    migration.assert_holds(migration.run(), expected)


def test_17_invalid_utf8_rejects_its_row_alone(migration: Migration) -> None:
    script(
        migration.source,
        "CREATE TABLE rows (id TEXT PRIMARY KEY, v TEXT)",
        "INSERT INTO rows VALUES ('a', 'good'), ('b', CAST(x'61ff62' AS TEXT)), ('c', 'good')",
        "INSERT INTO rows VALUES (CAST(x'fe' AS TEXT), 'bad key'), (CAST(x'ff' AS TEXT), 'another'), ('z', 'good')",
        "INSERT INTO rows VALUES ('surrogate', CAST(x'eda080' AS TEXT)), ('overlong', CAST(x'c080' AS TEXT))",
    )
    migration.write(ROW)
    expected = expected_of(migration.source, ROW)
    assert (len(expected.items), expected.rejects.total()) == (3, 5)
    migration.assert_holds(migration.run(), expected)


def test_18_numbers_are_exact_or_rejected(migration: Migration) -> None:
    whole = [0, 2**63 - 1, -(2**63 - 1), -(2**63), 2**53 + 1]
    real = [2.0**63, 0.1, -0.0, 1 / 3, 1e125, 1e126, 1e-130, 1e-131, 5e-324, 1.7976931348623157e308]
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, n)")
        rows = [*whole, *real, float("inf"), float("-inf"), float("nan")]
        connection.executemany("INSERT INTO rows (n) VALUES (?)", ((n,) for n in rows))
    migration.write(ROW)
    expected = expected_of(migration.source, ROW)
    assert expected.rejects.total() == 6  # 1e126, 1e-131, the denormal, the largest double and both infinities
    migration.assert_holds(migration.run(), expected)


def test_18_numbers_in_text_are_exact_or_rejected(migration: Migration) -> None:
    taken = ["9" * 38, "-" + "9" * 38, "1E-130", str(LARGEST), f"-{LARGEST}", "0." + "1" * 38, "1" + "0" * 100, "-0.0"]
    refused = ["9" * 39, "1." + "0" * 37 + "1", "1E-131", "1E126", "NaN", "Infinity", "1_000", "٣", "0x10", ""]
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (digits TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO rows VALUES (?)", ((text,) for text in [*taken, *refused]))
    migration.write(more={"Row": {"source": "rows", "key": {"PK": "K#{digits}"}, "attributes": {"n": "digits|number"}}})
    outcome = migration.run()
    found = {item["PK"]["S"].removeprefix("K#"): Decimal(item["n"]["N"]) for item in migration.items().values()}
    assert found == {text: Decimal(text) for text in taken}
    assert {line["row"]["digits"]["S"] for line in rejected(outcome)} == set(refused)
    assert SMALLEST in found.values()
