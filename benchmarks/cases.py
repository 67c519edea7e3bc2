"""The cases: each shape of data that the benchmark migrates."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from operator import itemgetter

from benchmarks.case import TABLE, Case, Item, Rows, ToNumber, flat_items

# ---- nine columns; a put of 530 bytes on the wire

_FIRST = ("Ada", "Grace", "Alan", "Zoë", "Edsger", "Barbara", "Donald")
_CITIES = ("Lisbon", "Göteborg", "Chicago", "Nairobi", "Osaka", None)
_BIO = 'Reads more than is good for the eyes, "mends" clocks, and walks every hill that a train goes to; ' * 3


def _people(rows: int) -> Mapping[str, Rows]:
    return {
        "people": (
            (
                n,
                f"person{n}@example.org",
                _FIRST[n % 7],
                f"Name{n % 1000}",
                _CITIES[n % 6],
                _BIO[: 208 + n % 40],
                (n * 7919 % 100_000) / 100,
                n * 31 % 5000,
                f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:15:00Z",
            )
            for n in range(1, rows + 1)
        )
    }


NINE = Case(
    "nine",
    "nine columns, 530 bytes a put on the wire",
    "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL, first_name TEXT, last_name TEXT, city TEXT,"
    " bio TEXT, score REAL, visits INTEGER, created_at TEXT)",
    _people,
    """\
  Person:
    source: people
    key: {PK: "PERSON#{id}", SK: PROFILE}
    attributes: {id: id}
""",
    flat_items("SELECT * FROM people", lambda row: (f"PERSON#{row['id']}", "PROFILE")),
)

# ---- three columns

NARROW = Case(
    "narrow",
    "three columns",
    "CREATE TABLE readings (id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, value REAL)",
    lambda rows: {"readings": ((n, f"sensor-{n % 500}", n * 7919 % 10_000 / 10) for n in range(1, rows + 1))},
    """\
  Reading:
    source: readings
    key: {PK: "READING#{id}", SK: VALUE}
""",
    flat_items("SELECT * FROM readings", lambda row: (f"READING#{row['id']}", "VALUE"), ["id"]),
)

# ---- a map, JSON, two child tables


def _orders(rows: int) -> Mapping[str, Rows]:
    details = json.dumps({"gift": True, "tags": ["spring", "fragile"], "weight": {"kg": 3, "g": 250}})
    return {
        "orders": (
            (
                n,
                f"customer-{n % 900}",
                f"2024-05-{n % 28 + 1:02}T08:00:00Z",
                f"{n % 200} High Street",
                "Leeds",
                "LS1 4AB",
                details,
            )
            for n in range(1, rows + 1)
        ),
        "lines": (
            (n, place, f"product-{(n + place) % 300}", place + n % 4, (n * 7 + place) % 9000 / 100)
            for n in range(1, rows + 1)
            for place in range(1, n % 5 + 1)
        ),
        "events": (
            (n, place, status)
            for n in range(1, rows + 1)
            for place, status in enumerate(("placed", "paid", "sent")[: n % 3 + 1])
        ),
    }


def _order_items(connection: sqlite3.Connection, to_number: ToNumber) -> Iterator[Item]:
    """Three queries in one order, read side by side."""
    lines = groupby(connection.execute("SELECT * FROM lines ORDER BY order_id, position"), itemgetter(0))
    events = groupby(connection.execute("SELECT * FROM events ORDER BY order_id, position"), itemgetter(0))
    line, event = next(lines, None), next(events, None)
    for order, customer, placed_at, street, city, postcode, details in connection.execute(
        "SELECT * FROM orders ORDER BY id"
    ):
        item: Item = {"PK": f"ORDER#{order}", "SK": "ORDER", "customer": customer, "placedAt": placed_at}
        item["address"] = {"street": street, "city": city, "postcode": postcode}
        item["details"] = json.loads(details, parse_float=Decimal)
        item["lines"], item["events"] = [], []
        if line and line[0] == order:
            item["lines"] = [{"product": row[2], "quantity": row[3], "price": to_number(row[4])} for row in line[1]]
            line = next(lines, None)
        if event and event[0] == order:
            item["events"] = [row[2] for row in event[1]]
            event = next(events, None)
        yield item


NESTED = Case(
    "nested",
    "a map, a JSON column and two child tables in each item",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, placed_at TEXT, street TEXT, city TEXT, postcode TEXT,"
    " details JSON);"
    "CREATE TABLE lines (order_id INTEGER, position INTEGER, product TEXT, quantity INTEGER, price REAL,"
    " PRIMARY KEY (order_id, position));"
    "CREATE TABLE events (order_id INTEGER, position INTEGER, status TEXT, PRIMARY KEY (order_id, position))",
    _orders,
    """\
  Order:
    source: orders
    key: {PK: "ORDER#{id}", SK: ORDER}
    attributes:
      customer: customer
      placedAt: placed_at
      address: {map: {street: street, city: city, postcode: postcode}}
      details: details|json
      lines:
        list:
          source: lines
          match: {order_id: id}
          order_by: position
          attributes: {product: product, quantity: quantity, price: price}
      events: {list: {source: events, match: {order_id: id}, order_by: position, value: status}}
    columns: none
""",
    _order_items,
)

# ---- tables of so many columns


def with_columns(count: int) -> Case:
    """A key and `count - 1` columns of text, integers and reals in turn."""
    kinds = ("TEXT", "INTEGER", "REAL")
    names = [f"column_{place}" for place in range(1, count)]
    declared = ", ".join(f"{name} {kinds[place % 3]}" for place, name in enumerate(names))

    def value(n: int, place: int) -> object:
        return (f"text {n % 1000} {place}", n * 31 % 100_000, (n + place) % 10_000 / 100)[place % 3]

    return Case(
        f"columns{count}",
        f"{count} columns",
        f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {declared})",
        lambda rows: {"wide": ((n, *(value(n, place) for place in range(count - 1))) for n in range(1, rows + 1))},
        """\
  Wide:
    source: wide
    key: {PK: "WIDE#{id}", SK: ROW}
""",
        flat_items("SELECT * FROM wide", lambda row: (f"WIDE#{row['id']}", "ROW"), ["id"]),
    )


# ---- items of so many bytes


def of_size(name: str, what: str, text_bytes: int) -> Case:
    filling = ("All that a document says, over and over. " * (text_bytes // 40 + 1))[: text_bytes - 8]
    return Case(
        name,
        what,
        "CREATE TABLE documents (id INTEGER PRIMARY KEY, title TEXT, pages INTEGER, body TEXT)",
        lambda rows: {"documents": ((n, f"Document {n}", n % 300, f"{n:08}{filling}") for n in range(1, rows + 1))},
        """\
  Document:
    source: documents
    key: {PK: "DOCUMENT#{id}", SK: BODY}
""",
        flat_items("SELECT * FROM documents", lambda row: (f"DOCUMENT#{row['id']}", "BODY"), ["id"]),
    )


# ---- keys that only a look at the data proves unique: the preflight reads everything


def _owner_items(connection: sqlite3.Connection, to_number: ToNumber) -> Iterator[Item]:
    pets = groupby(connection.execute("SELECT owner, name FROM pets ORDER BY owner"), itemgetter(0))
    owner, owned = next(pets, (None, None))
    for number, code, name, email, score, note in connection.execute("SELECT * FROM people ORDER BY id"):
        item: Item = {"PK": f"PERSON#{code}", "SK": "PROFILE", "name": name, "email": email, "note": note, "pets": []}
        item["score"] = to_number(score)
        if owned is not None and owner == number:
            item["pets"] = [{"name": pet} for _, pet in owned]
            owner, owned = next(pets, (None, None))
        yield item


PROVED = Case(
    "proved",
    "keys that only a look at every row proves unique, and a child list",
    "CREATE TABLE people (id INTEGER PRIMARY KEY, code TEXT, name TEXT, email TEXT, score REAL, note TEXT);"
    "CREATE TABLE pets (owner INTEGER, name TEXT); CREATE INDEX pets_owner ON pets (owner)",
    lambda rows: {
        "people": ((n, f"p{n}", f"Name {n}", f"n{n}@example.org", n / 7, "x" * 100) for n in range(rows)),
        "pets": ((n, f"pet {n}") for n in range(0, rows, 3)),
    },
    """\
  Person:
    source: people
    key: {PK: "PERSON#{code}", SK: PROFILE}
    attributes:
      pets: {list: {source: pets, match: {owner: id}, attributes: {name: name}}}
""",
    _owner_items,
)

CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        NINE,
        NARROW,
        NESTED,
        with_columns(5),
        with_columns(20),
        with_columns(100),
        of_size("kb", "items of 1 KB", 960),
        of_size("large", "items of 300 KB", 300_000),
        PROVED,
    )
}

# ---- a plan whose check has much to look at

ENTITIES = 100


def hundred_entities() -> tuple[str, str]:
    """Schema and mapping of a hundred tables of eight columns, each an entity with its own key."""
    columns = ", ".join(f"column_{place} TEXT" for place in range(1, 8))
    schema = "".join(f"CREATE TABLE table_{n} (id INTEGER PRIMARY KEY, {columns});" for n in range(ENTITIES))
    entities = "".join(
        f"""\
  Entity{n}:
    source: table_{n}
    key: {{PK: "ENTITY{n}#{{id}}", SK: ROW}}
    attributes:
      id: id
      first: column_1|trim|lower
      second: {{template: "{{column_2}} {{column_3}}"}}
      place: {{map: {{city: column_4, street: column_5}}}}
"""
        for n in range(ENTITIES)
    )
    return schema, f"version: 1\ntable: {{name: {TABLE}, partition_key: PK, sort_key: SK}}\nentities:\n{entities}"
