"""What `suggest` decides, by the data it decides on: keys, collections, indexes, attributes, questions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.advise.design import Design, EntityDesign, PatternDesign
from migrator.advise.suggest import suggest_file


@pytest.fixture
def design(tmp_path: Path):
    """The design for a file made by these statements."""

    def designed(*statements: str, style: str = "single-table") -> Design:
        path = tmp_path / "source.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
        return suggest_file(path, "table", style)

    return designed


def entity(design: Design, name: str) -> EntityDesign:
    return next(each for each in design.entities if each.name == name)


def key(design: Design, name: str, item: int = 0) -> dict[str, str]:
    return dict(entity(design, name).items[item].key)


def pattern(design: Design, name: str) -> PatternDesign:
    return next(p for table in design.tables for p in table.patterns if p.name == name)


def pattern_names(design: Design) -> list[str]:
    return [p.name for table in design.tables for p in table.patterns]


def filled(table: str, columns: str, rows: int, values: str) -> str:
    """An INSERT of so many rows; `i` counts them from 1."""
    counted = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
    return f"INSERT INTO {table} ({columns}) {counted} SELECT {values} FROM n"


# ---- keys


@pytest.mark.parametrize(
    ("columns", "rows", "template"),
    [
        ("k INTEGER PRIMARY KEY", "(1), (20)", "T#{k}"),
        ("k TEXT PRIMARY KEY", "('a#b'), ('a%b')", "T#{k}"),
        ("k PRIMARY KEY", "(1), ('1')", "T#{k|token}"),
        ("k PRIMARY KEY", "(x'31'), (x'32')", "T#{k|token}"),
        ("k REAL PRIMARY KEY", "(1.5)", "T#{k|token}"),
        ("k TEXT PRIMARY KEY", "(CAST(x'ff' AS TEXT))", "T#{k|token}"),
        ("k TEXT PRIMARY KEY", "(printf('%.2047c', 'a'))", "T#{k|sha256}"),
        ("k TEXT PRIMARY KEY", "(printf('%.2046c', 'a'))", "T#{k}"),
        ("k TEXT PRIMARY KEY", "(NULL), ('a')", "T#{@rowid}"),
        ("k TEXT", "('a'), ('a')", "T#{@rowid}"),
        ("k TEXT PRIMARY KEY", "('')", "T#{k}"),
        ("[a b] TEXT PRIMARY KEY", "('')", 'T#{"a b"}'),
    ],
)
def test_the_key_of_a_tables_own_partition(design, columns, rows, template):
    found = design(f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES {rows}")
    assert key(found, "t") | {"PK": template, "SK": "T"} == key(found, "t")


@pytest.mark.parametrize(
    ("rows", "template"),
    [
        ("('a', 'b#c')", "T#{a}#{b}"),  # the last part may hold a #: what stands before it has none
        ("('a#b', 'c')", "T#{a|token}#{b}"),
        ("('a', NULL)", "T#{@rowid}"),
    ],
)
def test_parts_of_a_key_are_escaped_where_the_data_holds_what_joins_them(design, rows, template):
    found = design("CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b))", f"INSERT INTO t VALUES {rows}")
    assert key(found, "t")["PK"] == template


def test_a_table_without_key_and_rowid_is_keyed_by_all_its_columns(design):
    found = design("CREATE TABLE t (rowid TEXT, oid TEXT, _rowid_ TEXT)", "INSERT INTO t VALUES ('a', NULL, 'c')")
    parts = [f'{{{name}|token|default("%0")}}' for name in ("rowid", "oid", "_rowid_")]
    assert key(found, "t")["PK"] == "#".join(["T", *parts])
    assert pattern_names(found) == []


def test_words_of_keys_are_distinct_though_names_are_alike(design):
    found = design(*(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY)' for name in ("a b", "a_b", "a#b", "A_B_2")))
    assert [key(found, name)["SK"] for name in ("a b", "a_b", "a#b", "A_B_2")] == ["A_B", "A_B_2", "A_B_3", "A_B_2_2"]


# ---- item collections


ARTISTS = (
    "CREATE TABLE artist (id INTEGER PRIMARY KEY)",
    "CREATE TABLE album (id INTEGER PRIMARY KEY, artist INTEGER NOT NULL REFERENCES artist (id))",
    filled("artist", "id", 30, "i"),
)


def test_a_child_lies_in_its_parents_partition_sorted_as_a_number(design):
    found = design(*ARTISTS, filled("album", "id, artist", 90, "i, i % 30 + 1"))
    assert key(found, "album") == {
        "PK": "ARTIST#{artist}",
        "SK": "ALBUM#{id|pad(4)}",  # two digits of data, and two of room
        "GSI1PK": "ALBUM#{id}",
        "GSI1SK": "ALBUM",
    }
    assert (
        "in the partition of its artist: at most 3 of each, 3.0 on average, about 48 bytes"
        in entity(found, "album").reasons
    )
    assert {"album of artist", "album by its own key", "artist with its album"} <= set(pattern_names(found))


def test_a_child_that_could_lie_inside_is_offered_as_a_list(design):
    found = design(*ARTISTS, filled("album", "id, artist", 90, "i, i % 30 + 1"))
    (offer,) = entity(found, "artist").offers
    assert (offer.source, offer.match, offer.attributes) == ("album", (("artist", "id"),), (("id", "id"),))


@pytest.mark.parametrize(
    ("column", "rows", "why"),
    [
        ("artist INTEGER NOT NULL REFERENCES artist (id)", 2000, "to one"),  # 1001 of the first: not bounded
        ("artist INTEGER REFERENCES artist (id)", 30, "at most 1 to one"),  # may be NULL: not owned
        ("artist TEXT NOT NULL REFERENCES artist (id)", 30, "30 rows to nothing"),  # '1' is not 1
    ],
)
def test_a_child_that_is_not_owned_or_not_bounded_gets_an_index(design, column, rows, why):
    parent = "CASE WHEN i <= 1001 THEN 1 ELSE i % 30 + 1 END" if rows > 1000 else "i"
    found = design(
        ARTISTS[0],
        f"CREATE TABLE album (id INTEGER PRIMARY KEY, {column})",
        ARTISTS[2],
        filled("album", "id, artist", rows, f"i, {parent}"),
    )
    assert key(found, "album")["PK"] == "ALBUM#{id}"
    assert key(found, "album")["GSI1PK"] == "ARTIST#{artist}"
    assert any(why in reason for reason in entity(found, "album").reasons)


def test_negative_numbers_are_not_padded_and_it_is_said_why(design):
    found = design(*ARTISTS, "INSERT INTO album VALUES (-5, 1), (10, 1)")
    assert key(found, "album")["SK"] == "ALBUM#{id}"
    assert any("zeros would sort negative numbers wrongly" in reason for reason in entity(found, "album").reasons)


def test_many_to_many_becomes_two_items_read_from_either_end(design):
    found = design(
        *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)" for name in ("film", "actor")),
        "CREATE TABLE cast (film INTEGER REFERENCES film, actor INTEGER REFERENCES actor, PRIMARY KEY (film, actor))",
        "INSERT INTO film VALUES (1), (2)",
        "INSERT INTO actor VALUES (7)",
        "INSERT INTO cast VALUES (1, 7), (2, 7)",
    )
    assert key(found, "cast", 0) == {"PK": "FILM#{film}", "SK": "CAST#{actor|pad(3)}"}
    assert key(found, "cast", 1) == {"PK": "ACTOR#{actor}", "SK": "CAST#{film|pad(3)}"}
    assert {"cast of film by film", "cast of actor by actor"} <= set(pattern_names(found))


def test_both_ends_in_one_table_are_told_apart(design):
    found = design(
        "CREATE TABLE user (id INTEGER PRIMARY KEY)",
        "CREATE TABLE friend (a INTEGER REFERENCES user, b INTEGER REFERENCES user, PRIMARY KEY (a, b))",
        "INSERT INTO user VALUES (1), (2)",
        "INSERT INTO friend VALUES (1, 2), (2, 1)",
    )
    assert [key(found, "friend", n)["SK"] for n in (0, 1)] == ["FRIEND#{b|pad(3)}", "FRIEND_BACK#{a|pad(3)}"]


def test_a_table_is_either_a_child_or_a_parent_of_children(design):
    found = design(
        *ARTISTS,
        "CREATE TABLE track (id INTEGER PRIMARY KEY, album INTEGER NOT NULL REFERENCES album (id))",
        filled("album", "id, artist", 30, "i, i"),
        filled("track", "id, album", 60, "i, i % 30 + 1"),
    )
    assert key(found, "track")["PK"] == "ALBUM#{album}"
    assert key(found, "album")["PK"] == "ALBUM#{id}"
    assert key(found, "album")["GSI1PK"] == "ARTIST#{artist}"


# ---- indexes


def test_a_unique_column_gets_a_sparse_index(design):
    found = design("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE)", "INSERT INTO t VALUES (1, 'a'), (2, NULL)")
    assert key(found, "t")["GSI1PK"] == "T#U#{u}"
    assert "GSI1: u is unique; sparse: 1 of 2 rows without a value" in entity(found, "t").reasons
    assert pattern(found, "t by u").sql == 'SELECT * FROM "t" WHERE "u" = :u'


def test_what_is_unique_without_regard_to_case_is_looked_up_so(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE)", "INSERT INTO t VALUES (1, 'A')"
    )
    assert key(found, "t")["GSI1PK"] == "T#U#{u|lower}"
    assert pattern(found, "t by u").sql == 'SELECT * FROM "t" WHERE "u" = :u COLLATE NOCASE'


def test_sql_compares_as_keys_do_byte_by_byte(design):
    found = design("CREATE TABLE t (name TEXT COLLATE NOCASE PRIMARY KEY)", "INSERT INTO t VALUES ('A')")
    assert pattern(found, "t by key").sql == 'SELECT * FROM "t" WHERE "name" = :name COLLATE BINARY'


def test_case_beyond_ascii_is_left_alone(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE)", "INSERT INTO t VALUES (1, 'Ä')"
    )
    assert key(found, "t")["GSI1PK"] == "T#U#{u}"


def test_partial_and_expression_indexes_prove_nothing_of_the_table(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)",
        "CREATE UNIQUE INDEX p ON t (a) WHERE b = 1",
        "CREATE UNIQUE INDEX e ON t (lower(a))",
    )
    assert found.tables[0].indexes == ()


@pytest.mark.parametrize("style", ["single-table", "table-per-entity"])
def test_a_table_has_20_indexes_at_most_and_the_rest_is_named(design, style):
    columns = ", ".join(f"u{n} TEXT UNIQUE" for n in range(22))
    found = design(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})", style=style)
    assert len(found.tables[0].indexes) == 20
    left = [reason for reason in entity(found, "t").reasons if reason.startswith("20 indexes are the most")]
    assert "u20" in " ".join(left)
    assert "u21" in " ".join(left)


@pytest.mark.parametrize("style", ["single-table", "table-per-entity"])
def test_a_column_that_is_null_everywhere_gets_no_index(design, style):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE)", "INSERT INTO t VALUES (1, NULL)", style=style
    )
    assert found.tables[0].indexes == ()
    assert "no index on u: no row has a value" in entity(found, "t").reasons


def test_a_column_that_no_question_can_be_asked_with_is_indexed_and_not_asked(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE)", "INSERT INTO t VALUES (1, CAST(x'ff' AS TEXT))"
    )
    assert key(found, "t")["GSI1PK"] == "T#U#{u|token}"
    assert pattern_names(found) == ["t by key"]


def test_an_empty_table_is_not_asked(design):
    assert pattern_names(design("CREATE TABLE t (id INTEGER PRIMARY KEY)")) == []


# ---- attributes


@pytest.mark.parametrize(
    ("column", "value", "attribute"),
    [
        ("c TEXT", "CAST(x'ff' AS TEXT)", ("c", "c|storable")),
        ("c REAL", "9e999", ("c", "c|storable")),
        ("c REAL", "1e126", ("c", "c|storable")),
        ("c DECIMAL", "'1e400'", ("c", "c|storable")),
        ("c JSON", """'{"": 1}'""", ("c", "c|storable")),
        ("c JSON", f"'{'[' * 40}{']' * 40}'", ("c", "c|storable")),
        ("zip NUMERIC", "'1e400'", ("zip", "zip|storable")),
        ('"PK" TEXT', "'x'", ("PK_", "PK")),
        ('"" TEXT', "'x'", ("unnamed_", '""')),
    ],
)
def test_a_column_whose_plain_copy_would_not_do(design, column, value, attribute):
    found = design(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column})", f"INSERT INTO t VALUES (1, {value})")
    assert attribute in entity(found, "t").attributes


@pytest.mark.parametrize(
    ("column", "value"),
    [("c TEXT", "'1e999'"), ("c REAL", "1e125"), ("c DECIMAL", "'1.50'"), ("c JSON", """'{"a": 1}'"""), ("c", "x'ff'")],
)
def test_other_columns_are_copied_as_they_are(design, column, value):
    found = design(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column})", f"INSERT INTO t VALUES (1, {value})")
    assert entity(found, "t").attributes == (("id", "id"),)


def test_a_generated_column_that_fails_is_left_out_and_named(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a)",
        "INSERT INTO t VALUES (1, 'not JSON')",
        "ALTER TABLE t ADD COLUMN b AS (json_extract(a, '$.x'))",
    )
    assert entity(found, "t").left_out == ("b",)
    assert "b is left out: it cannot be read (malformed JSON)" in entity(found, "t").reasons


@pytest.mark.parametrize(
    ("moments", "ttl", "is_set"),
    [
        ("(1, 4070908800)", "expires_at|epoch", True),
        ("(1, '2098-12-31')", "expires_at|epoch", True),
        ("(1, 1000000000), (2, 4070908800)", "expires_at|epoch", False),  # the first would be deleted
        ("(1, 13351176000000000)", None, False),  # microseconds since 1601: no time that can be told by the value
        ("(1, 3600)", None, False),  # a duration
    ],
)
def test_expiry(design, moments, ttl, is_set):
    found = design("CREATE TABLE t (id INTEGER PRIMARY KEY, expires_at)", f"INSERT INTO t VALUES {moments}")
    assert dict(entity(found, "t").attributes).get("ttl") == ttl
    assert (found.tables[0].time_to_live == "ttl") is is_set


def test_rows_that_are_too_large_are_counted_and_an_entity_of_nothing_else_is_not_asked(design):
    large = "printf('%.409600c', 'x')"
    found = design(
        "CREATE TABLE some (id INTEGER PRIMARY KEY, t)",
        "CREATE TABLE 'all' (id INTEGER PRIMARY KEY, t)",
        f"INSERT INTO some VALUES (1, {large}), (2, 'x')",
        f"INSERT INTO 'all' VALUES (1, {large})",
    )
    assert [entity(found, name).rejects for name in ("some", "all")] == [(("item_too_large", 1),)] * 2
    assert pattern_names(found) == ["some by key"]


# ---- tables


def test_views_and_what_cannot_be_read_have_no_entity_and_shadows_are_not_named(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE VIEW broken AS SELECT * FROM no_table",
        "CREATE VIRTUAL TABLE f USING fts5 (a)",
    )
    assert [each.name for each in found.entities] == ["t", "f"]
    assert [(left.name, left.readable) for left in found.left_out] == [("v", True), ("broken", False)]


@pytest.mark.parametrize(
    ("table", "name"), [("items", "items_table"), ("", "unnamed"), (" ", "unnamed"), ("a b", "a b")]
)
def test_an_entity_is_called_as_its_table(design, table, name):
    assert design(f'CREATE TABLE "{table}" (id INTEGER PRIMARY KEY)').entities[0].name == name


def test_a_table_of_its_own_has_its_own_columns_for_keys(design):
    found = design(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, e TEXT UNIQUE)",
        "INSERT INTO t VALUES (1, 'a', '')",
        style="table-per-entity",
    )
    (table,) = found.tables
    assert (table.name, [(k.name, k.type) for k in table.keys]) == ("table-t", [("id", "N")])
    # '' is no key of an index, so what may be empty is written with a word in front
    assert [(i.name, i.partition_key.name) for i in table.indexes] == [("by_u", "u"), ("by_e", "by_e_PK")]
    assert key(found, "t") == {"id": "{id}", "u": "{u}", "by_e_PK": "E#{e}"}


# ---- what SQLite cannot do


def wide(columns: int) -> str:
    return ", ".join(f"c{n}" for n in range(columns))


@pytest.mark.parametrize(
    "table",
    [
        f"t (id INTEGER PRIMARY KEY, {wide(1999)})",
        f"t (k PRIMARY KEY, {wide(1999)}) WITHOUT ROWID",
        f"t ({wide(1999)})",
    ],
    ids=["rowid alias", "without rowid", "rowid"],
)
def test_a_table_as_wide_as_sqlite_allows_is_read(design, table):
    found = design(f"CREATE TABLE {table}", "INSERT INTO t (c0) VALUES ('x')" if "k P" not in table else "SELECT 1")
    assert entity(found, "t").rows == ("k P" not in table)


def test_a_table_whose_rowid_is_one_column_too_many_is_left_out_by_name(design):
    found = design(f"CREATE TABLE t ({wide(2000)})", "CREATE TABLE u (a)")
    assert [(left.name, left.reason) for left in found.left_out] == [
        ("t", "it cannot be read: too many columns in result set")
    ]


def test_heavy_rows_of_a_wide_table_are_rendered(design):
    found = design(f"CREATE TABLE t ({wide(1999)})", f"INSERT INTO t VALUES ({', '.join(['zeroblob(210)'] * 1999)})")
    assert entity(found, "t").rejects == (("item_too_large", 1),)
