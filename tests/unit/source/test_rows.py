"""Rows and child rows, against nested loops in plain Python; by sqlite3 alone, and with APSW for what is plain."""

from __future__ import annotations

import json
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from migrator.source.children import ChildRows, with_children
from migrator.source.fetch import FETCH_BYTES, FETCH_ROWS, QUICK_FILE
from migrator.source.quick import QuickFile, is_plain
from migrator.source.ranges import count_rows, iter_ranges
from migrator.source.read import WHOLE, ChildRead, Range, Read
from migrator.source.relation import Relation
from migrator.source.rows import iter_batches, iter_rows, layout_of
from migrator.source.schema import Column
from migrator.source.text import InvalidText, decode_text


class Copied(QuickFile):
    """What a connection holds in memory, in a file from the first question on."""

    def __init__(self, path, raw):
        super().__init__(str(path))
        self.asked = 0
        self._make = lambda: path.write_bytes(raw.serialize())

    def select(self, sql, parameters):
        if not self.asked:
            self._make()
        self.asked += 1
        return super().select(sql, parameters)


@pytest.fixture(scope="module", params=["sqlite3", "apsw"], autouse=True)
def quick_folder(request, tmp_path_factory):
    """Where a quick file may be; None where there is none."""
    global quick_folder_now
    quick_folder_now = tmp_path_factory.mktemp("quick") if request.param == "apsw" else None
    yield
    quick_folder_now = None


@contextmanager
def database(script: str):
    raw = sqlite3.connect(":memory:")
    raw.text_factory = decode_text
    raw.executescript(script)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    with ExitStack() as held, engine.connect() as connection:
        connection.info.pop(QUICK_FILE, None)
        if quick_folder_now:
            connection.info[QUICK_FILE] = held.enter_context(closing(Copied(quick_folder_now / "copy.sqlite", raw)))
        yield connection
    engine.dispose()


def relation(name, columns, *, key=(), rowid="rowid", key_walks=False, kind="table", from_sql=None):
    return Relation(
        name, kind, from_sql or f'"{name}"', tuple(Column(c) for c in columns.split()), key, rowid, key_walks
    )


USERS = relation("users", "id name", key=("id",), rowid="id")
PETS = relation("pets", "owner name age")
TOYS = relation("toys", "pet label")


def read_all(connection, read, rows=2):
    return [row for part in iter_ranges(connection, read.relation, rows) for row in iter_rows(connection, read, part)]


def test_ranges_cover_a_rowid_table_with_gaps_and_negative_rowids_once():
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name);"
        "INSERT INTO users VALUES (-7,'a'),(0,'b'),(3,'c'),(900,'d'),(9223372036854775807,'e');"
    ) as connection:
        rows = read_all(connection, Read(USERS, ("name",)))
    assert [(row.key, row.values) for row in rows] == [
        ((-7,), ("a",)),
        ((0,), ("b",)),
        ((3,), ("c",)),
        ((900,), ("d",)),
        ((9223372036854775807,), ("e",)),
    ]


@contextmanager
def numbered(*numbers):
    """A table of these rowids, with rows of a few to a page."""
    with database("CREATE TABLE users (id INTEGER PRIMARY KEY, name)") as connection:
        connection.exec_driver_sql(
            "INSERT INTO users SELECT value, zeroblob(500) FROM json_each(?)", (json.dumps(list(numbers)),)
        )
        yield connection


@pytest.mark.parametrize(
    "numbers",
    [
        range(1, 5_001),
        range(-2_500, 2_500),
        [n for n in range(9_000) if n % 9 > 3],
        [*range(3_000), *range(3_600, 6_000)],
    ],
    ids=["all", "negative ones", "five of nine", "a gap"],
)
def test_close_rowids_are_cut_by_number_without_a_look_at_each(numbers):
    with numbered(*numbers) as connection:
        parts = list(iter_ranges(connection, USERS, 500))
        counts = [count_rows(connection, USERS, part) for part in parts]
    assert [part.low for part in parts] == [None, *(part.high for part in parts[:-1])]
    assert (parts[-1].high, sum(counts)) == (None, len(numbers))
    assert {after[0] - before[0] for before, after in pairwise(part.high for part in parts[:-1])} == {500}
    assert max(counts) <= 500


@pytest.mark.parametrize(
    "numbers",
    [range(0, 15_000, 3), [*range(4_000), *range(10**12, 10**12 + 1_000)], [*range(100), *range(7_000, 9_000)]],
    ids=["every third", "far apart", "hardly any at first"],
)
def test_rowids_that_are_not_close_are_counted_off(numbers):
    with numbered(*numbers) as connection:
        counts = [count_rows(connection, USERS, part) for part in iter_ranges(connection, USERS, 500)]
    assert counts == [500] * (len(numbers) // 500) + [len(numbers) % 500]


def test_a_range_is_cut_within_its_bounds():
    with numbered(*range(5_000)) as connection:
        parts = list(iter_ranges(connection, USERS, 500, Range((999,), (2_250,))))
        counts = [count_rows(connection, USERS, part) for part in parts]
    assert parts == [Range((999,), (1499,)), Range((1499,), (1999,)), Range((1999,), (2250,))]
    assert counts == [500, 500, 251]


def test_a_table_without_rowid_is_walked_by_its_composite_key():
    things = relation("things", "a b v", key=("b", "a"), rowid=None, key_walks=True)
    with database(
        "CREATE TABLE things (a, b, v, PRIMARY KEY (b, a)) WITHOUT ROWID;"
        "INSERT INTO things VALUES (1,'x',1),(2,'x',2),(1,'y',3),(x'00',CAST(x'ff' AS TEXT),4),(1,x'00',5);"
    ) as connection:
        rows = read_all(connection, Read(things, ("v",)), rows=1)
    assert [row.values[0] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[3].key == (InvalidText(b"\xff"), b"\x00")


def test_a_tables_name_may_hold_braces():
    odd = relation("${HOME} {}", "id", rowid="id")
    with database(
        'CREATE TABLE "${HOME} {}" (id INTEGER PRIMARY KEY); INSERT INTO "${HOME} {}" VALUES (1),(2),(3)'
    ) as connection:
        assert len(read_all(connection, Read(odd, ("id",)), rows=1)) == 3


def test_an_empty_table_has_one_range_and_no_rows():
    with database("CREATE TABLE users (id INTEGER PRIMARY KEY, name)") as connection:
        assert list(iter_ranges(connection, USERS, 10)) == [Range()]
        assert read_all(connection, Read(USERS, ("name",))) == []


def test_conditions_are_evaluated_beside_the_columns():
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1,'a'),(2,NULL),(3,'c');"
    ) as connection:
        read = Read(USERS, ("name",), where="id > 1", conditions=("name IS NULL", "users.id = 3"))
        rows = read_all(connection, read)
    assert [row.conditions for row in rows] == [(1, 0), (0, 1)]


def test_a_query_is_numbered_by_its_key_and_keeps_its_children():
    query = relation("", "n", key=("n",), rowid=None, kind="query", from_sql="(SELECT DISTINCT owner AS n FROM pets\n)")
    with database(
        "CREATE TABLE pets (owner, name, age); INSERT INTO pets VALUES (2,'c',1),(1,'b',9),(1,'a',3);"
    ) as connection:
        read = Read(query, ("n",), children=(ChildRead(PETS, (("owner", "n"),), ("name",), order_by="age DESC"),))
        rows = read_all(connection, read)
    assert [(row.values, [pet.values[0] for pet in row.children[0]]) for row in rows] == [
        ((1,), ["b", "a"]),
        ((2,), ["c"]),
    ]


def test_children_of_two_parents_with_equal_match_values_go_to_both():
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1,'a'),(2,'a'),(3,NULL);"
        "CREATE TABLE pets (owner, name, age); INSERT INTO pets VALUES ('a','p',1),(NULL,'q',1);"
    ) as connection:
        read = Read(USERS, ("name",), children=(ChildRead(PETS, (("owner", "name"),), ("name",)),))
        rows = read_all(connection, read)
    assert [[pet.values for pet in row.children[0]] for row in rows] == [[("p",)], [("p",)], []]


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (None, ["b", "a", "c"]),
        ("name", ["a", "b", "c"]),
        ("age DESC, name", ["a", "c", "b"]),
        ("age NULLS LAST, max(name, 'b') DESC", ["b", "c", "a"]),
        ("lower(name) COLLATE NOCASE desc", ["c", "b", "a"]),
    ],
)
def test_order_by_is_as_in_sql(order_by, expected):
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1,'x');"
        "CREATE TABLE pets (owner, name, age); INSERT INTO pets VALUES (1,'b',1),(1,'a',5),(1,'c',5);"
    ) as connection:
        read = Read(USERS, ("id",), children=(ChildRead(PETS, (("owner", "id"),), ("name",), order_by=order_by),))
        (row,) = read_all(connection, read)
    assert [pet.values[0] for pet in row.children[0]] == expected


small = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", "a", "b"]))


@given(
    users=st.lists(small, max_size=6),
    pets=st.lists(st.tuples(small, small), max_size=8),
    toys=st.lists(st.tuples(small, small), max_size=8),
    rows=st.integers(1, 4),
)
def test_merged_children_equal_nested_loops(users, pets, toys, rows):
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); CREATE TABLE pets (owner, name, age);"
        "CREATE TABLE toys (pet, label);"
    ) as connection:
        raw = connection.connection
        raw.executemany("INSERT INTO users (name) VALUES (?)", [(u,) for u in users])
        raw.executemany("INSERT INTO pets (owner, name) VALUES (?, ?)", pets)
        raw.executemany("INSERT INTO toys VALUES (?, ?)", toys)
        toy_read = ChildRead(TOYS, (("pet", "name"),), ("label",))
        read = Read(
            USERS, ("name",), children=(ChildRead(PETS, (("owner", "name"),), ("name",), children=(toy_read,)),)
        )
        found = [
            (row.values[0], [(pet.values[0], [toy.values[0] for toy in pet.children[0]]) for pet in row.children[0]])
            for row in read_all(connection, read, rows)
        ]

    def same(a, b):
        return a is not None and b is not None and type(a) is type(b) and a == b

    assert found == [
        (u, [(name, [label for pet, label in toys if same(pet, name)]) for owner, name in pets if same(owner, u)])
        for u in users
    ]


# ---- text that is not UTF-8


@pytest.mark.parametrize("bad", [(1,), (7,), (FETCH_ROWS,), (FETCH_ROWS + 1,), (1_300,), (1, 2, 700, 1_300)])
def test_text_that_is_not_utf8_takes_no_neighbour_with_it(bad):
    numbers = ", ".join(map(str, bad))
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name);"
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1300)"
        f" INSERT INTO users SELECT i, CASE WHEN i IN ({numbers}) THEN CAST(x'ff' AS TEXT) ELSE 'é' || i END FROM n;"
    ) as connection:
        rows = [row.values for row in iter_rows(connection, Read(USERS, ("id", "name")), WHOLE)]
    assert rows == [(n, InvalidText(b"\xff") if n in bad else f"é{n}") for n in range(1, 1_301)]


def test_child_text_that_is_not_utf8_stays_with_its_parent():
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1,'a'),(2,'b');"
        "CREATE TABLE pets (owner, name, age);"
        "INSERT INTO pets VALUES (1,'x',1),(2,CAST(x'ff' AS TEXT),2),(2,'y',3);"
    ) as connection:
        pets = ChildRead(PETS, (("owner", "id"),), ("name",))
        rows = list(iter_rows(connection, Read(USERS, ("id", "name"), children=(pets,)), WHOLE))
    found = [[child.values[0] for child in row.children[0]] for row in rows]
    assert found == [["x"], [InvalidText(b"\xff"), "y"]]


def test_children_stay_apart_where_one_parents_key_is_no_utf8_and_anothers_a_blob_of_the_same_bytes():
    owners = relation("owners", "id", key=("id",), rowid=None, key_walks=True)
    with database(
        "CREATE TABLE owners (id PRIMARY KEY) WITHOUT ROWID; INSERT INTO owners VALUES (CAST(x'ff' AS TEXT)), (x'ff');"
        "CREATE TABLE pets (owner, name, age); INSERT INTO pets VALUES (x'ff','b',1),(CAST(x'ff' AS TEXT),'a',1);"
    ) as connection:
        pets = ChildRead(PETS, (("owner", "id"),), ("name",))
        rows = list(iter_rows(connection, Read(owners, ("id",), children=(pets,)), WHOLE))
    assert [[child.values[0] for child in row.children[0]] for row in rows] == [["a"], ["b"]]


@pytest.mark.parametrize("asked", [True, False])
def test_the_rowid_of_a_child_is_read_where_it_is_asked_for(asked):
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1,'a');"
        "CREATE TABLE pets (owner, name, age); INSERT INTO pets (rowid, owner, name) VALUES (7,1,'x');"
    ) as connection:
        pets = ChildRead(PETS, (("owner", "id"),), ("name",), rowid=asked)
        (row,) = iter_rows(connection, Read(USERS, ("id",), children=(pets,)), WHOLE)
    assert [(child.rowid, child.values) for child in row.children[0]] == [(7 if asked else None, ("x",))]


# ---- how many come at once


def test_parents_of_many_child_rows_come_few_at_a_time():
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); CREATE TABLE pets (owner, name, age);"
        "CREATE INDEX pets_owner ON pets (owner);"
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
        " INSERT INTO users SELECT i, '' FROM n;"
        "INSERT INTO pets SELECT users.id, printf('%.9000c', 'x'), 1 FROM users, (SELECT 1 FROM users LIMIT 50);"
    ) as connection:
        read = Read(USERS, ("id",), children=(ChildRead(PETS, (("owner", "id"),), ("name",)),))
        sizes = [len(batch) for batch in iter_batches(connection, read, WHOLE)]
    assert sum(sizes) == 60
    assert max(sizes[1:]) * 50 * 9_000 < FETCH_BYTES + 50 * 9_000


def test_child_rows_that_meet_no_parent_end_the_reading():
    stray = ChildRows(iter([[(2, "x")], [(1, "y")]]), 1, "pets")
    with pytest.raises(AssertionError, match="pets did not meet their parent: 2"):
        list(with_children([[(1,)]], 1, [stray]))


def test_a_key_that_is_also_a_column_is_read_once():
    with database("CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (7,'a');") as connection:
        (row,) = iter_rows(connection, Read(USERS, ("name", "id"), conditions=("id > 3",)), WHOLE)
        asked = layout_of(Read(USERS, ("name", "id"), conditions=("id > 3",))).length
    assert (row.rowid, row.key, row.values, row.conditions) == (7, (7,), ("a", 7), (1,))
    assert asked == len(["id", "name", "id > 3"])


# ---- which reader


ORDERED = ChildRead(PETS, (("owner", "id"),), ("name",), order_by="age")


@pytest.mark.parametrize(
    ("read", "plain"),
    [
        (Read(USERS, ("name",)), True),
        (Read(USERS, ("id", "name"), children=(ORDERED,)), True),
        (Read(USERS, ("name",), where="name LIKE 'a%'"), False),
        (Read(USERS, ("name",), conditions=("name > 1",)), False),
        (Read(USERS, ("id", "name"), children=(replace(ORDERED, order_by="age || name"),)), False),
        (Read(USERS, ("id", "name"), children=(replace(ORDERED, where="age > 1"),)), False),
        (Read(replace(USERS, kind="view", rowid=None), ("name",)), False),  # rows of a view have no keys of their own
        (Read(replace(USERS, columns=(Column("id"), Column("name", generated="virtual"))), ("name",)), False),
    ],
)
def test_only_columns_of_tables_in_the_order_of_their_keys_are_read_by_another_sqlite(read, plain):
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1, 'a');"
        "CREATE TABLE pets (owner, name, age);"
    ) as connection:
        assert len(list(iter_rows(connection, read, WHOLE))) == 1
        asked = connection.info[QUICK_FILE].asked if QUICK_FILE in connection.info else None
    assert is_plain(read) == plain
    assert asked in (None, (1 + len(read.children)) * plain)


def test_what_the_quick_reader_cannot_open_is_read_by_sqlite3(tmp_path):
    with database(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name); INSERT INTO users VALUES (1, 'a');"
    ) as connection:
        connection.info[QUICK_FILE] = QuickFile(str(tmp_path / "not there"))
        assert [row.values for row in iter_rows(connection, Read(USERS, ("name",)), WHOLE)] == [("a",)]
