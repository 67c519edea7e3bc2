"""`migrator dump` from the command line: what it prints, and which exit code a shell gets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.app import run_command


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.create_collation("OURS", lambda a, b: (a > b) - (a < b))
        database.executescript(
            "CREATE TABLE orders (id); INSERT INTO orders VALUES (1), (2);"
            'CREATE TABLE "order lines" (id NOT NULL);'
            "CREATE TABLE closed (k TEXT COLLATE OURS PRIMARY KEY) WITHOUT ROWID;"
        )
    return path


def dump(shop: Path, *arguments: str) -> int:
    return run_command(["dump", str(shop), *arguments])


def test_each_table_is_a_line(shop: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "a/b"
    assert dump(shop, "--table", "orders", "--table", "ORDER LINES", "-o", str(folder)) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"orders: 2 rows -> {folder}/orders.jsonl",
        f"order lines: 0 rows -> {folder}/order_lines.jsonl",
    ]


def test_a_table_that_was_left_out_is_a_warning_and_exit_code_1(shop: Path, tmp_path: Path, capsys: Any) -> None:
    assert dump(shop, "-o", str(tmp_path / "out")) == 1
    assert "table closed is left out: it cannot be read: no such collation sequence: OURS" in capsys.readouterr().err


def test_an_unknown_table_is_2(shop: Path, tmp_path: Path, capsys: Any) -> None:
    assert dump(shop, "--table", "ordres", "-o", str(tmp_path / "out")) == 2
    assert 'Did you mean "orders"?' in capsys.readouterr().err


def test_a_file_where_the_folder_should_be_is_2(shop: Path, capsys: Any) -> None:
    assert dump(shop, "-o", str(shop)) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"not a database, but longer than its header would be" * 50])
def test_what_is_no_database_is_3(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.sqlite").write_bytes(content)
    assert dump(tmp_path / "x.sqlite", "-o", str(tmp_path / "out")) == 3


def test_nothing_is_created_beside_the_source(shop: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    dump(shop, "--table", "orders", "-o", str(tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == before | {"out"}
