"""What `analyze` finds in a file, as data, JSON and text."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.advise.analysis import analyze, to_json, to_text
from migrator.advise.formats import FORMATS
from migrator.advise.shown import width_of
from migrator.errors import SourceError
from migrator.source.profile import SAMPLE_ABOVE_ROWS
from migrator.source.profile_sketch import ERROR

DOCS = Path(__file__).parents[3] / "docs"

SHOP = (
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, parent REFERENCES customer)",
    "CREATE TABLE card (customer INTEGER PRIMARY KEY REFERENCES customer, number TEXT)",
    'CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer (id), note)',
    'CREATE INDEX by_customer ON "order" (customer) WHERE note IS NOT NULL',
    'CREATE TABLE line (o REFERENCES "order", n, w REFERENCES warehouse (id), PRIMARY KEY (o, n)) WITHOUT ROWID',
    "CREATE VIRTUAL TABLE search USING fts5 (body)",
    "CREATE VIEW named AS SELECT name FROM customer",
    "INSERT INTO customer VALUES (1, 'Ann', NULL), (2, 'Bo', 1), (3, 'Cy', 99)",
    "INSERT INTO card VALUES (1, '4111')",
    "INSERT INTO \"order\" VALUES (1, 1, x'00ff'), (2, 7, NULL), (3, NULL, 'x')",
    "INSERT INTO line VALUES (1, 1, NULL), (1, 2, 5), (9, 1, 6)",
)


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def found(path: Path) -> dict[str, Any]:
    """The analysis as it arrives at a reader of the JSON."""
    answer: dict[str, Any] = json.loads(json.dumps(to_json(analyze(path)), allow_nan=False))
    return answer


def table(analysis: dict[str, Any], name: str) -> dict[str, Any]:
    return next(t for t in analysis["tables"] if t["name"] == name)


def column(path: Path, values: str) -> dict[str, Any]:
    return found(make(path, "CREATE TABLE t (a)", f"INSERT INTO t VALUES {values}"))["tables"][0]["columns"][0]


def block(path: Path, name: str, **options: Any) -> list[str]:
    """What the text says of one table."""
    paragraphs = (part.splitlines() for part in to_text(analyze(path, **options)).split("\n\n"))
    return next(lines for lines in paragraphs if lines[0].startswith(f"{name}  —  "))


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, Any]:
    return found(make(tmp_path / "shop.sqlite", *SHOP))


def test_the_source_is_described(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE t (a)")
    assert found(path)["source"] == {
        "path": str(path),
        "size_bytes": 8192,
        "page_size": 4096,
        "encoding": "UTF-8",
        "journal_mode": "rollback",
    }


def test_tables_are_counted_and_described(shop: dict[str, Any]) -> None:
    line = table(shop, "line")
    assert (line["kind"], line["rows"], line["without_rowid"], line["primary_key"]) == ("table", 3, True, ["o", "n"])
    assert [c["primary_key_position"] for c in line["columns"]] == [1, 2, None]
    assert table(shop, "customer")["integer_primary_key"] == "id"


def test_columns_carry_what_they_declare_and_what_they_hold(shop: dict[str, Any]) -> None:
    assert table(shop, "order")["columns"][2] == {
        "name": "note",
        "declared_type": "",
        "affinity": "BLOB",
        "not_null": False,
        "default": None,
        "generated": "",
        "hidden": False,
        "primary_key_position": None,
        "storage_classes": {"TEXT": 1, "BLOB": 1, "NULL": 1},
        "nulls": 1,
        "distinct": 2,
        "distinct_error": 0.0,
        "min": "x",
        "max": {"hex": "00ff", "bytes": 2},
        "longest_bytes": 2,
        "invalid_utf8": 0,
        "with_nul": 0,
        "empty": 0,
        "common": [],
        "formats": {},
        "skew": {"biggest_share": 0.5, "effective_values": 2.0},
        "error": None,
    }


def test_indexes_say_whether_they_are_partial(shop: dict[str, Any]) -> None:
    assert table(shop, "order")["indexes"] == [
        {
            "name": "by_customer",
            "unique": False,
            "origin": "c",
            "columns": ["customer"],
            "partial": True,
            "expression": False,
        }
    ]


def test_relationships_are_classified_and_their_orphans_counted(shop: dict[str, Any]) -> None:
    assert {(r["from"], r["to"]): (r["kind"], r["orphans"]) for r in shop["relationships"]} == {
        ("customer", "customer"): ("self", 1),
        ("card", "customer"): ("one-to-one", 0),
        ("order", "customer"): ("many-to-one", 1),
        ("line", "order"): ("many-to-one", 1),
        ("line", "warehouse"): ("many-to-one", 2),
    }


def test_a_missing_parent_is_named(shop: dict[str, Any]) -> None:
    (key,) = [k for k in table(shop, "line")["foreign_keys"] if k["parent_missing"]]
    assert (key["table"], key["self"]) == ("warehouse", False)


def test_orphans_of_a_composite_key_ignore_rows_with_a_null(tmp_path: Path) -> None:
    analysis = found(
        make(
            tmp_path / "x.sqlite",
            "CREATE TABLE p (a, b, PRIMARY KEY (a, b))",
            "CREATE TABLE c (x, y, FOREIGN KEY (x, y) REFERENCES p)",
            "INSERT INTO p VALUES (1, 1), (NULL, 2)",
            "INSERT INTO c VALUES (1, 1), (1, 2), (NULL, 9), (2, 2)",
        )
    )
    assert analysis["relationships"][0]["orphans"] == 2


def test_a_foreign_key_that_fits_no_key_says_so(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE p (a)", "CREATE TABLE c (x REFERENCES p)")
    (relationship,) = found(path)["relationships"]
    assert relationship["orphans"] is None
    assert "primary key" in relationship["error"]


def test_shadow_tables_are_listed_and_not_looked_into(shop: dict[str, Any]) -> None:
    content = table(shop, "search_content")
    assert (content["kind"], content["rows"]) == ("shadow", None)
    assert all(c["nulls"] is None for c in content["columns"])


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ("(9e999)", "Infinity"),
        ("(-9e999)", "-Infinity"),
        ("(9223372036854775807)", 2**63 - 1),
        ("(zeroblob(100))", {"hex": "00" * 32, "bytes": 100}),
        ("(CAST(x'ff41' AS TEXT))", {"hex": "ff41", "bytes": 2, "invalid_utf8": True}),
        ("(replace(hex(zeroblob(50)), '0', 'é'))", {"text": "é" * 80, "characters": 100}),
    ],
)
def test_every_value_has_a_place_in_json(tmp_path: Path, values: str, shown: Any) -> None:
    assert column(tmp_path / "x.sqlite", values)["max"] == shown


def test_integrity_findings_are_hazards(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.sqlite",
        "CREATE TABLE t (a CHECK (a > 0))",
        "PRAGMA ignore_check_constraints = ON",
        "INSERT INTO t VALUES (-1), (-2)",
    )
    assert found(path)["integrity"] == [
        {"code": "check", "subject": "t", "message": "CHECK constraint failed in t", "count": 2}
    ]
    assert "CHECK constraint failed in t  (2 times)" in to_text(analyze(path))


def test_integrity_can_be_left_out(tmp_path: Path) -> None:
    analysis = analyze(make(tmp_path / "x.sqlite", "CREATE TABLE t (a)"), integrity=False)
    assert to_json(analysis)["integrity"] is None
    assert "Integrity: not checked" in to_text(analysis)


def test_a_file_without_tables_is_analyzed(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE t (a)", "DROP TABLE t")
    assert found(path)["tables"] == []
    assert "0 rows" in to_text(analyze(path))


def test_a_missing_file_is_a_source_error_and_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        analyze(tmp_path / "no.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_nothing_beside_the_source_changes(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "PRAGMA journal_mode = WAL", *SHOP)
    before = (path.stat().st_mtime_ns, path.read_bytes())
    assert found(path)["source"]["journal_mode"] == "wal"
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert os.listdir(tmp_path) == ["x.sqlite"]


# ---- text


def test_text_begins_with_a_summary(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.sqlite", *SHOP)
    first, second, third, *_ = to_text(analyze(path)).splitlines()
    assert first == str(path)
    assert second.endswith("in pages of 4,096 bytes, UTF-8, rollback journal")
    assert third == "  4 tables, 1 view, 1 virtual table, 5 shadow tables, 10 rows"


def test_a_block_shows_each_column_in_line(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.sqlite", "CREATE TABLE t (id INTEGER PRIMARY KEY, n)", "INSERT INTO t VALUES (1, 'a'), (2, 5)"
    )
    assert block(path, "t") == [
        "t  —  table, 2 rows",
        "  column  declared as  holds              distinct  longest  from … to",
        "  id      INTEGER PK   INTEGER                   2           1 … 2",
        '  n                    1 INTEGER, 1 TEXT         2      1 B  5 … "a"',
        "  as items: 6 bytes in the mean, 99 of 100 up to 7, the largest 7 (id 2)",
    ]


def test_a_block_says_what_most_values_look_like(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.sqlite",
        "CREATE TABLE t (a, b, c)",
        "INSERT INTO t VALUES ('2024-01-31', '007', 'x'), ('2024-02-29', 'x', 'y'), (NULL, '08', '2024-01-31')",
    )
    heading, *columns = block(path, "t")[1:5]
    assert [line[heading.index("looks like") :].split("  ")[0] for line in columns] == [
        "ISO dates",
        "66 % digits with zeros in front",
        "",
    ]


def test_a_sampled_table_says_so(tmp_path: Path) -> None:
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {SAMPLE_ABOVE_ROWS})"
    path = make(tmp_path / "x.sqlite", "CREATE TABLE t (a)", f"{numbers} INSERT INTO t SELECT i FROM n")
    *_, words = block(path, "t")
    assert words.startswith("  formats are those of a sample of ")
    assert words.endswith(" rows, and distinct values with ~ are within 3.1%; --exact looks at all")
    assert not any("sample" in line for line in block(path, "t", exact=True))


def test_text_has_no_long_lines_and_no_control_characters(tmp_path: Path) -> None:
    name = "c" * 300
    path = make(
        tmp_path / "x.sqlite",
        f'CREATE TABLE "{name}" ("{name}" VARCHAR({"9" * 200}), "a\nb" REFERENCES "{name}" ("{name}"))',
        f'CREATE INDEX "{name}i" ON "{name}" ("{name}", "a\nb")',
        f"INSERT INTO \"{name}\" VALUES ('{'日本' * 500}', char(27, 10, 0, 8238) || 'x'), (zeroblob(9000), 1e300)",
    )
    text = to_text(analyze(path))
    assert max(map(width_of, text.split("\n"))) <= 132
    assert all(c.isprintable() for c in text.replace("\n", ""))


def test_numbers_are_shown_whole(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.sqlite",
        'CREATE TABLE t ("a column with a long name" "DECIMAL WITH A LONG NAME" NOT NULL, b)',
        "INSERT INTO t VALUES (-9223372036854775808, 1), (9223372036854775807, 'x'), ('text', NULL)",
    )
    assert "-9223372036854775808" in to_text(analyze(path))


def test_a_table_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", "CREATE TABLE u (a)", "CREATE VIEW v AS SELECT * FROM u", "DROP TABLE u")
    assert "cannot be read: no such table: main.u" in to_text(analyze(path))


# ---- what the page and the help promise


@pytest.mark.parametrize("page", ["analyze.md", "cli.md"])
def test_the_pages_name_the_limit_above_which_tables_are_sampled(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert f"more than {SAMPLE_ABOVE_ROWS:,} rows" in " ".join(text.split())


def test_the_page_names_the_error_of_an_estimate_and_every_format() -> None:
    text = (DOCS / "analyze.md").read_text(encoding="utf-8")
    assert f"{ERROR:.1%}".replace("%", " %") in text
    assert [name for name in FORMATS if f"`{name}`" not in text] == []


# ---- files of other people


def _real_files() -> list[Path]:
    folder = os.environ.get("MIGRATOR_REAL_DATA")
    return sorted(Path(folder).glob("*.sqlite")) if folder else []


@pytest.mark.skipif(not _real_files(), reason="MIGRATOR_REAL_DATA names no folder with *.sqlite files")
@pytest.mark.parametrize("path", _real_files(), ids=lambda path: path.name)
def test_a_real_file_is_whole_and_counted_as_a_plain_reader_counts(path: Path, tmp_path: Path) -> None:
    for source in path.parent.glob(f"{path.name}*"):
        shutil.copyfile(source, tmp_path / source.name)
    analysis = analyze(tmp_path / path.name)
    assert analysis.integrity == ()
    assert max(map(width_of, to_text(analysis).split("\n"))) <= 132
    json.dumps(to_json(analysis), allow_nan=False)
    with closing(sqlite3.connect(tmp_path / path.name)) as connection:
        for each in analysis.of_kind("table"):
            quoted = each.table.name.replace('"', '""')
            ((count,),) = connection.execute(f'SELECT count(*) FROM "{quoted}"')
            assert (each.rows, each.error) == (count, None)
