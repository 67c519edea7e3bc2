"""A plan that is run again and again beside a program that goes on writing, by processes that may be killed.

Each run is forked from a process that has imported everything already, so that hundreds of them take a minute. What the
table must hold is rendered here by hand, and shares no line with the migrator.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import Items, environment, scan

TABLE = "scheduled"
KILLED = -9
#: Each line of its input is a run: arguments, where its output goes, and when it is killed: after some seconds, or
#: before or after a call of a function, as arguments of `dying`.
_FORKS = """
import json, os, signal, sys, time
from migrator.cli import app
from migrator.run import checkpoint, comparing, deleting, draft, engine, incremental, intents, opened, writing
opened.SEGMENT_ROWS, writing.PART_S = 20, 0.1
comparing.PAGE_ITEMS = comparing._REACH_ROWS = 15
def dying(owner, name, call, before):
    original, calls = getattr(owner, name), 0
    def wrapped(*given, **named):
        nonlocal calls
        calls += 1
        if calls == call and before:
            os.kill(os.getpid(), signal.SIGKILL)
        done = original(*given, **named)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    setattr(owner, name, wrapped)
def run(asked):
    output = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1), os.dup2(output, 2)
    if asked["at"]:
        exec(f"dying({asked['at']})")
    sys.argv = ["migrator", *asked["arguments"]]
    try:
        app.main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code or 0)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        run(asked)
    if asked["after_s"] is not None:
        time.sleep(asked["after_s"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
#: Places at which a run may die, with the number of the call to be filled in.
POINTS = (
    "intents.IntentFile, 'append', {call}, False",
    "draft.Draft, 'add', {call}, True",
    "draft.Draft, 'add', {call}, False",
    "checkpoint.Checkpoint, 'record', {call}, False",
    "deleting, 'delete_batch', {call}, False",
    "engine, 'write_reports', 1, False",
    "incremental, 'take_over', 1, True",
    "incremental, 'take_over', 1, False",
    "checkpoint.Checkpoint, 'end', 1, False",
)

SCHEMA = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL, updated_at INTEGER NOT NULL DEFAULT 0);
CREATE TABLE lines (order_id INTEGER, position INTEGER, text TEXT, PRIMARY KEY (order_id, position)) WITHOUT ROWID;
CREATE TABLE notes (code TEXT PRIMARY KEY, text TEXT, updated_at INTEGER NOT NULL DEFAULT 0);
CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT, updated_at INTEGER NOT NULL DEFAULT 0);
"""
MAPPING = f"""\
table: {{name: {TABLE}, partition_key: PK, sort_key: SK}}
items: [{{PK: SYSTEM, SK: STATUS, status: ready}}]
entities:
  Order:
    source: orders
    items:
      - key: {{PK: "ORDER#{{id}}", SK: ORDER}}
        attributes:
          total: total
          lines: {{list: {{source: lines, match: {{order_id: id}}, value: text}}}}
      - key: {{PK: "CUSTOMER#{{customer}}", SK: "ORDER#{{id}}"}}
        attributes: {{total: total}}
    columns: none
  Line:
    source: lines
    key: {{PK: "ORDER#{{order_id}}", SK: "LINE#{{position}}"}}
    attributes: {{text: text}}
    columns: none
  Note: {{source: notes, key: {{PK: "NOTE#{{code}}", SK: NOTE}}, attributes: {{text: text}}, columns: none}}
  Tag: {{source: tags, key: {{PK: "TAG#{{name}}", SK: TAG}}, columns: none}}
  Big:
    source: {{query: "SELECT id, total FROM orders WHERE total > 50", key: [id]}}
    key: {{PK: BIG, SK: "{{id}}"}}
    attributes: {{total: total}}
    columns: none
"""


@dataclass(frozen=True)
class Writer:
    """The program that goes on writing. `deletes`: it also takes rows away, or gives them other keys."""

    connection: sqlite3.Connection
    draw: random.Random
    deletes: bool = True

    def write(self, changes: int) -> None:
        """So many transactions."""
        changes_known = (*_CHANGES, *_DELETES) if self.deletes else _CHANGES
        for _ in range(changes):
            with self.connection:
                for statement, *values in self.draw.choice(changes_known)(self.draw):
                    self.connection.execute(statement, values)


Change = Callable[[random.Random], list[tuple[Any, ...]]]
_NOW = "(SELECT 1 + max(updated_at) FROM (SELECT updated_at FROM orders UNION ALL SELECT updated_at FROM notes"
_NOW += " UNION ALL SELECT updated_at FROM tags UNION ALL SELECT 0))"


def _order(draw: random.Random) -> int:
    return draw.randint(1, 150)


def _customer(draw: random.Random) -> str:
    return f"c{draw.randint(1, 9)}"


def _total(draw: random.Random) -> float:
    return draw.randint(0, 400) / 4


_ORDERS = f"INTO orders (id, customer, total, updated_at) VALUES (?, ?, ?, {_NOW})"
_NOTE = f"INSERT INTO notes VALUES (?, ?, {_NOW}) ON CONFLICT DO UPDATE SET text = excluded.text, updated_at = {_NOW}"
_CHANGES: tuple[Change, ...] = (
    lambda d: [(f"INSERT OR IGNORE {_ORDERS}", _order(d), _customer(d), _total(d))],
    lambda d: [(f"UPDATE orders SET total = ?, updated_at = {_NOW} WHERE id = ?", _total(d), _order(d))],
    lambda d: [(_NOTE, f"n{d.randint(1, 90)}", f"text {d.random()}")],
    lambda d: [(f"INSERT OR IGNORE INTO tags VALUES (?, ?, {_NOW})", d.randint(1, 80), f"t{d.randint(1, 30)}")],
    lambda d: [
        ("INSERT OR IGNORE INTO lines VALUES (?, ?, ?)", order := _order(d), d.randint(1, 3), f"line {d.random()}"),
        (f"UPDATE orders SET updated_at = {_NOW} WHERE id = ?", order),
    ],
)
_DELETES: tuple[Change, ...] = (
    lambda d: [("DELETE FROM orders WHERE id = ?", _order(d))],
    lambda d: [(f"REPLACE {_ORDERS}", _order(d), _customer(d), _total(d))],
    lambda d: [("UPDATE OR REPLACE orders SET id = ? WHERE id = ?", _order(d), _order(d))],
    lambda d: [("UPDATE orders SET customer = ? WHERE id = ?", _customer(d), _order(d))],
    lambda d: [("UPDATE lines SET text = ? WHERE order_id = ?", f"line {d.random()}", _order(d))],
    lambda d: [("DELETE FROM lines WHERE order_id = ?", _order(d))],
    lambda d: [("DELETE FROM notes WHERE code = ?", f"n{d.randint(1, 90)}")],
    lambda d: [("UPDATE OR REPLACE notes SET code = ? WHERE code = ?", f"n{d.randint(1, 90)}", f"n{d.randint(1, 90)}")],
    lambda d: [("DELETE FROM tags WHERE id = ?", d.randint(1, 80))],
    lambda d: [("UPDATE tags SET name = ? WHERE id = ?", f"t{d.randint(1, 30)}", d.randint(1, 80))],
    lambda d: [("DELETE FROM orders WHERE id BETWEEN ? AND ?", n := d.randint(1, 150), n + 4)],
)


def expected_items(path: Path) -> Items:
    """What the source says, in plain Python."""
    with closing(sqlite3.connect(path)) as db:
        orders = db.execute("SELECT id, customer, total FROM orders").fetchall()
        lines = db.execute("SELECT order_id, position, text FROM lines ORDER BY position").fetchall()
        notes = db.execute("SELECT code, text FROM notes").fetchall()
        tags = db.execute("SELECT DISTINCT name FROM tags").fetchall()
    items: Items = {("SYSTEM", "STATUS"): {"status": {"S": "ready"}}}
    for number, customer, total in orders:
        of_order = [{"S": text} for order, _, text in lines if order == number]
        cost = {"total": {"N": f"{total:g}"}}
        items[f"ORDER#{number}", "ORDER"] = cost | {"lines": {"L": of_order}}
        items[f"CUSTOMER#{customer}", f"ORDER#{number}"] = cost
        if total > 50:
            items["BIG", str(number)] = cost
    items |= {(f"ORDER#{order}", f"LINE#{position}"): {"text": {"S": text}} for order, position, text in lines}
    items |= {(f"NOTE#{code}", "NOTE"): {"text": {"S": text}} for code, text in notes}
    return items | {(f"TAG#{name}", "TAG"): {} for (name,) in tags}


@dataclass(frozen=True)
class Schedule:
    """A source, the plan that is run for it, and what runs it."""

    folder: Path
    client: Any
    process: subprocess.Popen[str]

    @property
    def source(self) -> Path:
        return self.folder / "shop.sqlite"

    @property
    def uses_wal(self) -> bool:
        with closing(sqlite3.connect(self.source)) as db:
            return bool(db.execute("PRAGMA journal_mode").fetchone()[0] == "wal")

    @property
    def state(self) -> Path:
        return self.folder / ".migrator" / "scheduled"

    def plan(self, incremental: Any, **settings: Any) -> None:
        given = {"parallelism": 1, "incremental": incremental} | settings
        (self.folder / "plan.yaml").write_text(
            f"name: scheduled\nsource: shop.sqlite\nmappings: [mapping.yaml]\nsettings: {json.dumps(given)}\n"
        )

    @contextmanager
    def writing(self, draw: random.Random, *, deletes: bool = True) -> Iterator[Writer]:
        with closing(sqlite3.connect(self.source, timeout=20, check_same_thread=False)) as connection:
            yield Writer(connection, draw, deletes)

    def begin(self, *options: str, after_s: float | None = None, at: str = "") -> None:
        """A run, to be killed after so long, or at a place of its code."""
        arguments = ["run", str(self.folder / "plan.yaml"), *options]
        asked = {"arguments": arguments, "log": str(self.folder / "log"), "after_s": after_s, "at": at}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """The exit code of the run that was begun."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def run(self, *options: str, after_s: float | None = None, at: str = "") -> int:
        self.begin(*options, after_s=after_s, at=at)
        return self.end()

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def report(self) -> dict[str, Any]:
        """Of the run that ended last."""
        reports = (self.state / "runs").glob("*/report.json")
        last = max(reports, key=lambda path: path.stat().st_mtime_ns)
        return json.loads(last.read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    def found(self) -> Items:
        items = scan(self.client, TABLE)
        return {key: {name: v for name, v in item.items() if name not in ("PK", "SK")} for key, item in items.items()}


@contextmanager
def schedule(folder: Path, client: Any, url: str, journal: str) -> Iterator[Schedule]:
    """A schedule that has not begun; the source has a few hundred rows, and this journal."""
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    with closing(sqlite3.connect(folder / "shop.sqlite")) as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.executescript(SCHEMA)
    variables: Mapping[str, str] = {**environment(folder), "AWS_ENDPOINT_URL_DYNAMODB": url}
    with subprocess.Popen(
        [sys.executable, "-c", _FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(variables)
    ) as process:
        try:
            yield Schedule(folder, client, process)
        finally:
            process.kill()
