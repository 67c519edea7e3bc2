"""Access patterns on every engine: a source is migrated, and `verify` asks both sides."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from door import Door
from migrator.errors import DocumentError
from migrator.run.engine import run_plan
from migrator.run.pattern_report import PatternComparison
from migrator.run.plan import load_plan
from migrator.run.verify import verify_plan
from migrator.run.verify_report import VerifyReport
from migrator.target.backoff import Timing

NOW_S = 1_000
PLAN = """
version: 1
name: shop
source: [{sources}]
mappings: [shop.yaml]
target: {{endpoint_url: "{url}"}}
settings: {{parallelism: 1, state_dir: state, verify: {verify}}}
"""
# name, state and value are reserved words of DynamoDB's expressions.
MAPPING = """
version: 1
table:
  name: shop-patterns
  partition_key: PK
  sort_key: SK
  global_indexes:
    ByEmail: {partition_key: email, projection: KEYS_ONLY}
    ByState: {partition_key: state, sort_key: {value: N}}
    ByCode: {partition_key: {code: B}, sort_key: {part: B}}
  local_indexes:
    ByPlaced: {sort_key: placed}
  time_to_live: ttl
entities:
  User:
    source: users
    key: {PK: "USER#{id}", SK: PROFILE, email: "{email|trim|lower}"}
    attributes: {name: name, active: active}
    columns: none
  Order:
    source: orders
    key: {PK: "USER#{user_id}", SK: "ORDER#{id|pad(4)}", state: "{state}", value: "{total}", placed: "{placed}"}
    attributes: {paid: paid, note: note, ttl: expires}
    columns: none
  Part:
    source: parts
    key: {PK: "PART#{id}", SK: PART, code: "{code}", part: "{part}"}
    columns: none
  Member:
    source: members
    items:
      - key: {PK: "CIRCLE#{circle}", SK: "MEMBER#{user_id}"}
      - key: {PK: "USER#{user_id}", SK: "CIRCLE#{circle}"}
        where: visible = 1
    columns: none
  Word:
    source: words
    key: {PK: "WORD#{word|lower}", SK: WORD}
    attributes: {kind: kind}
    columns: none
"""
SOURCE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT, active BOOLEAN);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, state TEXT, total REAL, placed TEXT, paid INTEGER,
                     note TEXT, expires INTEGER);
CREATE TABLE parts (id INTEGER PRIMARY KEY, code BLOB, part BLOB);
CREATE TABLE members (circle TEXT, user_id INTEGER, visible INTEGER, PRIMARY KEY (circle, user_id));
CREATE TABLE words (word TEXT, kind TEXT);
"""
ROWS = """
INSERT INTO users VALUES (1, 'Ann', ' Ann@A.example ', 1), (2, 'Bob', 'bob@a.example', 0), (3, 'Cid', NULL, 1);
INSERT INTO orders VALUES
    (1, 1, 'open', 5,    '2024-01-01', 0, 'gift', NULL), (2, 1, 'open', 10,  '2024-01-02', 1, NULL, NULL),
    (3, 2, 'open', 10.5, '2024-01-03', 1, 'gift', 2000), (4, 2, 'open', 100, '2024-02-01', 1, '',   NULL),
    (5, 2, NULL,   7,    '2024-02-02', 0, NULL,   NULL), (6, 3, 'done', -3,  NULL,         1, 'gift', 500);
INSERT INTO parts VALUES (1, x'00ff', x'01'), (2, x'00ff', x'0100'), (3, x'00ff', x'ff'), (4, x'61', x'02');
INSERT INTO members VALUES ('a', 1, 1), ('a', 2, 0), ('b', 1, 1);
INSERT INTO words VALUES ('Tea', 'drink'), ('TEA', 'drink'), ('ink', 'blue'), ('Ink', 'red');
"""


class Shop:
    """A small source, migrated to the table, and the questions that a test writes into its mapping."""

    def __init__(self, folder: Path, url: str, client: Any) -> None:
        self._folder = folder
        self._url = url
        self.client = client
        self.slept: list[float] = []

    def migrate(self, *sources: str, verify: str = "none") -> Any:
        names = [f"shop{number}.sqlite" for number in range(len(sources or (ROWS,)))]
        for name, rows in zip(names, sources or (ROWS,), strict=True):
            with closing(sqlite3.connect(self._folder / name)) as connection:
                connection.executescript(SOURCE + rows)
        plan = PLAN.format(sources=", ".join(names), url=self._url, verify=verify)
        (self._folder / "plan.yaml").write_text(plan, encoding="utf-8")
        return run_plan(self._load())

    def verify(self, patterns: str, **options: Any) -> VerifyReport:
        self.write(patterns)
        moment = [0.0]

        def sleep(seconds: float) -> None:
            moment[0] += seconds
            self.slept.append(seconds)

        timing = Timing(lambda: moment[0], sleep)
        return verify_plan(self._load(), clock=lambda: NOW_S, timing=timing, **options)

    def ask(self, patterns: str, **options: Any) -> dict[str, PatternComparison]:
        return {pattern.name: pattern for pattern in self.verify(patterns, **options).access_patterns}

    def write(self, patterns: str = "") -> None:
        block = f"access_patterns:\n{patterns}" if patterns else ""
        (self._folder / "shop.yaml").write_text(MAPPING + block, encoding="utf-8")

    def _load(self) -> Any:
        return load_plan(self._folder / "plan.yaml")

    # ---- tampering

    def delete(self, partition: str, sort: str) -> None:
        self.client.delete_item(TableName="shop-patterns", Key={"PK": {"S": partition}, "SK": {"S": sort}})

    def put(self, partition: str, sort: str, **attributes: Any) -> None:
        item = {"PK": {"S": partition}, "SK": {"S": sort}, **attributes}
        self.client.put_item(TableName="shop-patterns", Item=item)


@pytest.fixture
def new_shop(door: Door, dynamodb: Any, tmp_path: Path) -> Shop:
    shop = Shop(tmp_path, door.url, dynamodb)
    shop.write()
    return shop


@pytest.fixture
def shop(new_shop: Shop) -> Shop:
    new_shop.migrate()
    return new_shop


def counts(patterns: dict[str, PatternComparison]) -> dict[str, tuple[int, int, int, str]]:
    return {name: (p.questions, p.expected, p.found, p.verdict) for name, p in patterns.items()}


def reasons(patterns: dict[str, PatternComparison]) -> dict[str, str | None]:
    return {name: pattern.reason for name, pattern in patterns.items()}


# ---- both sides agree

AGREEING = """
  an index by SQL:
    {entity: User, index: ByEmail, key: {email: "{email|trim|lower}"}, sql: SELECT * FROM users WHERE email = :email}
  an index without SQL:
    {entity: Order, index: ByState, key: {state: "{state}"}}
  a sort key from the row:
    {entity: Order, index: ByState, key: {state: "{state}", value: {ge: "{total}"}}}
  the key of an item:
    {entity: Order, key: {PK: "USER#{user_id}", SK: "ORDER#{id|pad(4)}"}, sql: SELECT * FROM orders WHERE id = :id}
  a local index:
    {entity: Order, index: ByPlaced, key: {PK: USER#2, placed: {begins_with: 2024-02}},
     sql: SELECT * FROM orders WHERE user_id = 2 AND placed GLOB '2024-02*'}
  a scan with a filter:
    {entity: Order, filter: {note: gift, paid: 1}, sql: SELECT * FROM orders WHERE note = 'gift' AND paid}
  a filter with the type of its column:
    {entity: User, filter: {active: "{active}"}, sql: SELECT * FROM users WHERE active = :active}
  a scan of an index:
    {entity: Order, index: ByState, sql: SELECT * FROM orders WHERE state IS NOT NULL}
  a query with a filter:
    {entity: Order, key: {PK: "USER#{user_id}"}, filter: {note: {between: [a, h]}, paid: {le: 1}}}
  the newest:
    {entity: Order, index: ByState, key: {state: open}, order: descending, limit: 2,
     sql: SELECT * FROM orders WHERE state = 'open' ORDER BY total DESC LIMIT 2}
  any two:
    {entity: Order, index: ByState, key: {state: open}, limit: 2}
  one of a filter:
    {entity: Order, index: ByState, key: {state: open}, filter: {paid: 1}, limit: 1,
     sql: SELECT * FROM orders WHERE state = 'open' AND paid ORDER BY total LIMIT 1}
  parameters only:
    {entity: Order, index: ByState, key: {state: "{s}", value: {lt: "{most}"}}, params: {s: open, most: 10.5},
     sql: SELECT * FROM orders WHERE state = :s AND total < :most}
  parameters and rows:
    {entity: Order, key: {PK: "USER#{user_id}"}, filter: {paid: "{paid}"}, params: {paid: 1},
     sql: SELECT * FROM orders WHERE user_id = :user_id AND paid = :paid}
  circles of a user:
    {entity: Member, key: {PK: "USER#{user_id}", SK: {begins_with: CIRCLE#}},
     sql: SELECT * FROM members WHERE user_id = :user_id AND visible}
  members of a circle:
    {entity: Member, key: {PK: "CIRCLE#{circle}"}, sql: SELECT * FROM members WHERE circle = :circle}
  everything of a user:
    {entity: User, key: {PK: "USER#{id}"}, sql: SELECT * FROM users WHERE id = :id}
  a word of two rows:
    {entity: Word, key: {PK: "WORD#{word|lower}"}, filter: {kind: drink},
     sql: "SELECT rowid, * FROM words WHERE word = :word AND kind = 'drink'"}
  a word by its filter:
    {entity: Word, key: {PK: WORD#ink}, filter: {kind: blue}}
"""


def test_what_the_mapping_promises_is_answered(shop: Shop, door: Door) -> None:
    assert counts(shop.ask(AGREEING)) == {
        "an index by SQL": (2, 2, 2, "agrees"),
        "an index without SQL": (2, 5, 5, "agrees"),
        "a sort key from the row": (5, 11, 11, "agrees"),
        "the key of an item": (6, 6, 6, "agrees"),
        "a local index": (1, 2, 2, "agrees"),
        "a scan with a filter": (1, 2, 2, "agrees"),
        "a filter with the type of its column": (2, 3, 3, "agrees"),
        "a scan of an index": (1, 5, 5, "agrees"),
        "a query with a filter": (3, 3, 3, "agrees"),
        "the newest": (1, 2, 2, "agrees"),
        "any two": (1, 2, 2, "agrees"),
        "one of a filter": (1, 1, 1, "agrees"),
        "parameters only": (1, 2, 2, "agrees"),
        "parameters and rows": (3, 4, 4, "agrees"),
        "circles of a user": (1, 2, 2, "agrees"),
        "members of a circle": (2, 3, 3, "agrees"),
        "everything of a user": (3, 3, 3, "agrees; and 6 of Order, 2 of Member"),
        "a word of two rows": (4, 2, 2, "agrees"),
        "a word by its filter": (1, 1, 1, "agrees"),
    }
    assert door.refused == []


#: Comparison of a number sort key whose values are 5, 10, 10.5 and 100 -> how many answer.
NUMBERS = {
    "10": 1,
    "{eq: 10.0}": 1,
    "{lt: 10}": 1,
    "{le: 10}": 2,
    "{gt: 10}": 2,
    "{ge: 10}": 3,
    "{between: [9, 10.50]}": 2,
}
#: Comparison of a binary sort key whose values are 01, 0100 and ff -> how many answer.
BINARIES = {
    '"{one}"': 1,
    '{lt: "{one}"}': 0,
    '{le: "{one}"}': 1,
    '{gt: "{one}"}': 2,
    '{ge: "{one}"}': 3,
    '{begins_with: "{one}"}': 2,
    '{between: ["{one}", "{one}"]}': 1,
}


def test_each_comparison_of_a_number_key(shop: Shop) -> None:
    lines = [
        f"  {number}: {{entity: Order, index: ByState, key: {{state: open, value: {comparison}}}}}"
        for number, comparison in enumerate(NUMBERS)
    ]
    found = shop.ask("\n".join(lines))
    assert [pattern.found for pattern in found.values()] == list(NUMBERS.values())
    assert [pattern.agrees for pattern in found.values()] == [True] * len(NUMBERS)


def test_each_comparison_of_a_binary_key(shop: Shop) -> None:
    lines = []
    for number, comparison in enumerate(BINARIES):
        asked = comparison.replace("{one}", "{one|hex}")
        params = "code: 00ff" + (', one: "01"' if "{one}" in comparison else "")
        lines.append(
            f"  {number}: {{entity: Part, index: ByCode, params: {{{params}}},"
            f' key: {{code: "{{code|hex}}", part: {asked}}}}}'
        )
    found = shop.ask("\n".join(lines))
    assert [pattern.found for pattern in found.values()] == list(BINARIES.values())
    assert [pattern.agrees for pattern in found.values()] == [count > 0 for count in BINARIES.values()]


def test_a_binary_key_is_sampled_from_its_column(shop: Shop) -> None:
    found = shop.ask('  q: {entity: Part, index: ByCode, key: {code: "{code}"}}')
    assert counts(found) == {"q": (2, 4, 4, "agrees")}


def test_answers_of_many_pages_are_read_to_their_end(new_shop: Shop) -> None:
    big = "x" * 300_000  # a page ends after 1 MB
    rows = ", ".join(f"({n}, 1, 'open', {n}, NULL, 1, '{big}', NULL)" for n in range(10))
    new_shop.migrate(f"INSERT INTO orders VALUES {rows};")
    found = new_shop.ask(
        "  scan: {entity: Order, filter: {paid: 1}}\n"
        "  query: {entity: Order, index: ByState, key: {state: open}}\n"
        "  limit: {entity: Order, filter: {paid: 1}, limit: 7}\n"
    )
    assert counts(found) == {
        "scan": (1, 10, 10, "agrees"),
        "query": (1, 10, 10, "agrees"),
        "limit": (1, 7, 7, "agrees"),
    }


def test_every_source_file_is_sampled_and_asked(new_shop: Shop) -> None:
    new_shop.migrate(
        "INSERT INTO orders VALUES (1, 1, 'open', 1, NULL, 0, NULL, NULL);",
        "INSERT INTO orders VALUES (2, 2, 'done', 2, NULL, 0, NULL, NULL), (3, 2, 'open', 3, NULL, 0, NULL, NULL);",
    )
    found = new_shop.ask(
        "  by SQL: {entity: Order, index: ByState, key: {state: '{state}'},"
        " sql: SELECT * FROM orders WHERE state = :state}\n"
        "  without: {entity: Order, index: ByState, key: {state: '{state}'}}"
    )
    assert counts(found) == {"by SQL": (2, 3, 3, "agrees"), "without": (2, 3, 3, "agrees")}


def test_one_source_key_in_two_files_is_two_rows(new_shop: Shop) -> None:
    new_shop.migrate(
        "INSERT INTO orders VALUES (1, 1, 'open', 1, NULL, 0, NULL, NULL);",
        "INSERT INTO orders VALUES (1, 2, 'done', 2, NULL, 0, NULL, NULL);",
    )
    sql = "SELECT * FROM orders WHERE state = 'open'"
    found = new_shop.ask(f"  q: {{entity: Order, index: ByState, key: {{state: open}}, sql: {sql}}}")
    assert counts(found) == {"q": (1, 1, 1, "agrees")}


def test_rejected_rows_and_rows_that_lost_their_key_are_not_expected(shop: Shop) -> None:
    # Both ink rows have one key: the second is rejected, and what it says of the kind is nowhere.
    found = shop.ask(
        "  by SQL: {entity: Word, key: {PK: WORD#ink}, sql: \"SELECT rowid, * FROM words WHERE lower(word) = 'ink'\"}\n"
        "  without: {entity: Word, filter: {kind: red}}"
    )
    assert counts(found) == {
        "by SQL": (1, 1, 1, "agrees"),
        "without": (1, 0, 0, "matched nothing on 1 sample"),
    }


def test_an_expired_item_that_is_gone_is_no_difference(shop: Shop) -> None:
    shop.delete("USER#3", "ORDER#0006")
    sql = "SELECT * FROM orders WHERE note = 'gift'"
    found = shop.ask(f"  q: {{entity: Order, filter: {{note: gift}}, sql: {sql}}}")
    assert counts(found) == {"q": (1, 3, 2, "agrees; 1 expired")}


def test_only_patterns_of_the_selected_entities_are_asked(shop: Shop) -> None:
    patterns = "  u: {entity: User, key: {PK: '{id|prefix(\"USER#\")}'}}\n  w: {entity: Word}"
    assert list(shop.ask(patterns, entities=["Word"])) == ["w"]


def test_a_sample_asks_all_patterns(shop: Shop) -> None:
    report = shop.verify("  w: {entity: Word}", sample=1)
    assert report.to_text().splitlines()[-1] == "access patterns: 1 of 1 agree"


def test_a_run_that_verifies_asks_the_patterns(new_shop: Shop) -> None:
    new_shop.write("  w: {entity: Word}\n  none: {entity: Word, filter: {kind: green}}")
    report = new_shop.migrate(verify="sample")
    assert report.exit_code == 4
    assert report.to_text().splitlines()[-1] == "access patterns: 1 of 2 agree"
    assert [p["agrees"] for p in report.to_json()["verification"]["access_patterns"]] == [True, False]


# ---- they do not

BY_STATE = (
    "  q: {entity: Order, index: ByState, key: {state: '{state}'}, sql: SELECT * FROM orders WHERE state = :state}"
)


def test_a_deleted_item_is_missing_from_the_answer(shop: Shop) -> None:
    shop.delete("USER#1", "ORDER#0002")
    report = shop.verify(BY_STATE)
    assert report.exit_code == 4
    lines = report.to_text().splitlines()
    assert lines[0] == "verify of plan shop: 1 difference, 1 access pattern without agreement"
    assert lines[-3].split(maxsplit=5) == ["q", "ByState", "2", "5", "4", "1 missing in 1 of 2 answers"]
    assert lines[-2] == '  missing from the answer to state "open": PK "USER#1", SK "ORDER#0002"'
    assert lines[-1] == "access patterns: 0 of 1 agree"


def test_an_item_with_a_moved_index_key_is_missing_here_and_unexpected_there(shop: Shop) -> None:
    shop.put("USER#1", "ORDER#0002", state={"S": "done"}, value={"N": "10"}, placed={"S": "2024-01-02"})
    (pattern,) = shop.ask(BY_STATE).values()
    assert pattern.reason == "1 missing, 1 not expected in 2 of 2 answers"
    assert sorted(str(difference) for difference in pattern.differences) == [
        'missing from the answer to state "open": PK "USER#1", SK "ORDER#0002"',
        'not expected in the answer to state "done": PK "USER#1", SK "ORDER#0002"',
    ]


def test_an_extra_item_of_the_entitys_shape_is_not_expected(shop: Shop) -> None:
    shop.put("USER#9", "ORDER#0009", state={"S": "open"}, value={"N": "1"})
    (pattern,) = shop.ask(BY_STATE).values()
    assert (pattern.reason, pattern.expected, pattern.found) == ("1 not expected in 1 of 2 answers", 5, 6)


def test_an_extra_item_of_another_shape_is_foreign(shop: Shop) -> None:
    shop.put("TENANT#9", "x", state={"S": "open"}, value={"N": "1"})
    assert counts(shop.ask(BY_STATE)) == {"q": (2, 5, 5, "agrees; 1 foreign")}


def test_differences_of_an_index_are_asked_again_for_about_five_seconds(shop: Shop) -> None:
    shop.delete("USER#1", "ORDER#0002")
    shop.verify(BY_STATE)
    assert sum(shop.slept) == pytest.approx(5.0)


def test_what_agrees_or_is_read_consistently_is_not_asked_again(shop: Shop) -> None:
    shop.delete("USER#1", "ORDER#0002")
    found = shop.ask("  table: {entity: Order, filter: {paid: 1}}\n  index: {entity: Part, index: ByCode}")
    assert (reasons(found), shop.slept) == ({"table": "1 missing in 1 of 1 answers", "index": None}, [])


def test_a_limit_is_filled_where_more_are_expected(shop: Shop) -> None:
    for partition, sort in (("USER#1", "ORDER#0001"), ("USER#1", "ORDER#0002"), ("USER#2", "ORDER#0003")):
        shop.delete(partition, sort)
    (pattern,) = shop.ask("  q: {entity: Order, index: ByState, key: {state: open}, limit: 2}").values()
    assert (pattern.expected, pattern.found, pattern.reason) == (2, 1, "1 missing in 1 of 1 answers")


NOTHING = """
  no row:
    {entity: Order, index: ByState, key: {state: gone}, sql: SELECT * FROM orders WHERE state = 'gone'}
  no sample:
    {entity: User, key: {PK: "USER#{id}"}, filter: {nick: {gt: "{active}"}}}
  no sparse item:
    {entity: User, index: ByState, key: {state: "{name}"}}
"""


def test_a_pattern_that_matches_nothing_does_not_agree(shop: Shop) -> None:
    assert reasons(shop.ask(NOTHING)) == {
        "no row": "matched nothing on 1 sample",
        "no sample": "matched nothing: no sample could be taken (gt does not compare BOOL)",
        "no sparse item": "matched nothing on 3 samples",
    }


def test_sql_that_fails_on_the_data_is_told(shop: Shop) -> None:
    sql = "SELECT * FROM orders WHERE json_extract(note, '$.a') = 1"
    assert reasons(shop.ask(f'  q: {{entity: Order, sql: "{sql}"}}')) == {"q": "SQLite: malformed JSON"}


def test_the_report_has_every_pattern(shop: Shop, tmp_path: Path) -> None:
    shop.delete("USER#1", "ORDER#0002")
    shop.verify(BY_STATE, report_file=tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["status"], report["exit_code"]) == ("different", 4)
    assert report["access_patterns"] == [
        {
            "name": "q",
            "entity": "Order",
            "table": "shop-patterns",
            "index": "ByState",
            "questions": 2,
            "expected": 5,
            "found": 4,
            "agrees": False,
            "reason": "1 missing in 1 of 2 answers",
            "notes": [],
            "differences": [
                {
                    "kind": "missing",
                    "key": {"PK": {"S": "USER#1"}, "SK": {"S": "ORDER#0002"}},
                    "parameters": {"state": {"S": "open"}},
                }
            ],
        }
    ]


# ---- before anything is asked


@pytest.mark.parametrize("command", [verify_plan, run_plan])
def test_a_pattern_that_does_not_fit_the_source_stops_every_command(
    shop: Shop, command: Callable[..., Any], tmp_path: Path
) -> None:
    shop.write("  q: {entity: User, key: {PK: 'USER#{ident}'}}")
    with pytest.raises(DocumentError) as caught:
        command(load_plan(tmp_path / "plan.yaml"))
    assert caught.value.exit_code == 2
    assert 'access_patterns.q.key.PK: "ident" is neither a column of table "users" nor a parameter' in str(caught.value)
