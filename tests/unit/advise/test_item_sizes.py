"""How large rows would be as items, over all rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.advise.analysis import analyze
from migrator.advise.model import ItemSizes
from migrator.mapping.canonical import item_size
from migrator.mapping.values import to_attribute_value


def sizes(path: Path, *statements: str) -> ItemSizes:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    found = analyze(path).tables[0].sizes
    assert found is not None
    return found


VALUES = [0, 7, -12345, 2**63 - 1, 0.1, -2.5, "text", "日本", "", b"\x00\x01", None]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_measured_nearly_as_dynamodb_counts_it(tmp_path: Path, value: object) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (größe)")
        connection.execute("INSERT INTO t VALUES (?)", (value,))
    attribute = to_attribute_value(value)  # type: ignore[arg-type]
    exact = item_size({"größe": attribute} if attribute else {})
    found = analyze(tmp_path / "x.sqlite").tables[0].sizes
    assert found is not None
    assert abs(found.largest_bytes - exact) <= (2 if isinstance(value, int | float) else 0)


def test_text_of_a_utf16_file_is_measured_as_utf8(tmp_path: Path) -> None:
    found = sizes(
        tmp_path / "x.sqlite", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('né')"
    )
    assert found.largest_bytes == len("a") + 3


def test_mean_99th_percentile_and_largest_come_from_all_rows(tmp_path: Path) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
    found = sizes(
        tmp_path / "x.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b)",
        f"{numbers} INSERT INTO t SELECT i, zeroblob(CASE WHEN i > 198 THEN 1000 * (i - 198) ELSE 10 END) FROM n",
    )
    assert (found.largest_row, found.largest_bytes) == ((("id", 200),), 2000 + len("id") + len("b") + 3)
    assert found.p99_bytes < 20
    assert found.mean_bytes == pytest.approx((198 * 15 + 1006 + 2006) / 200, rel=0.05)


def test_the_histogram_counts_every_item_once(tmp_path: Path) -> None:
    found = sizes(
        tmp_path / "x.sqlite",
        "CREATE TABLE t (b)",
        "INSERT INTO t VALUES (zeroblob(7)), (zeroblob(8)), (zeroblob(2000)), (NULL)",
    )
    assert found.histogram == ((1, 1), (8, 1), (16, 1), (2048, 1))


def test_a_table_of_fifteen_hundred_columns_is_measured(tmp_path: Path) -> None:
    columns = ", ".join(f"c{n}" for n in range(1500))
    found = sizes(tmp_path / "x.sqlite", f"CREATE TABLE t ({columns})", "INSERT INTO t (c0, c1499) VALUES ('a', 'b')")
    assert found.largest_bytes == len("c0") + len("c1499") + 2


def test_a_column_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    found = sizes(
        tmp_path / "x.sqlite",
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES ('no json')",
        "ALTER TABLE t ADD COLUMN g AS (json_extract(a, '$.x'))",
    )
    assert found.largest_bytes == len("a") + len("no json")


def test_an_empty_table_has_no_sizes(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
    assert analyze(tmp_path / "x.sqlite").tables[0].sizes is None
