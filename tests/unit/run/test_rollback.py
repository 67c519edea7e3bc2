"""A run is taken back: the table is what it was before, item by item, but for what somebody changed since."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from door import Door, Fault, Forward, Reply, Request
from door_faults import deny, drop_after, throttle
from migrator.errors import UsageError
from migrator.run import lifetime, opened
from migrator.run.engine import run_plan
from migrator.run.history import run_folder
from migrator.run.replay import retry_plan
from migrator.run.report import RunReport
from migrator.run.rollback import roll_back
from migrator.run.rollback_report import RollbackReport
from migrator.run.verify import verify_plan
from migrator.target.backoff import Timing
from shop import Shop

ROWS = 30
SOURCE = f"""
    CREATE TABLE people (code TEXT PRIMARY KEY, name TEXT, tags TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
    INSERT INTO people SELECT printf('c%03d', i), 'Name ' || i, '["a", {{"b": 1.50}}]' FROM n;
"""
PERSON = 'Person: {source: people, key: {PK: "{code}"}, attributes: {name: name, tags: tags|json}, columns: none}'
#: Before the run: two that it replaces, and one that is none of its business.
BEFORE: list[dict[str, Any]] = [
    {
        "PK": {"S": "c001"},
        "n": {"N": "1.50"},
        "b": {"B": b"\x00\xff"},
        "empty": {"S": ""},
        "sets": {"M": {"s": {"SS": ["x", "y"]}, "b": {"BS": [b"1", b"2"]}, "z": {"NULL": True}}},
    },
    {"PK": {"S": "c030"}, "name": {"S": "old"}, "l": {"L": [{"L": []}, {"BOOL": False}]}},
    {"PK": {"S": "OTHER"}, "x": {"S": "stays"}},
]
Break = Callable[[Shop], None]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 10)


@pytest.fixture
def shop(tmp_path: Path, door: Door, dynamodb: Any) -> Iterator[Shop]:
    shop = Shop(tmp_path, door.url)
    shop.source(SOURCE)
    yield shop
    shop.client.close()
    assert door.refused == []


def create_table(shop: Shop, items: list[dict[str, Any]]) -> None:
    shop.client.create_table(
        TableName=shop.table,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    shop.client.get_waiter("table_exists").wait(TableName=shop.table, WaiterConfig={"Delay": 0.1})
    for item in items:
        shop.client.put_item(TableName=shop.table, Item=item)


def table_of(shop: Shop) -> dict[str, dict[str, Any]]:
    """Key -> the whole item, sets in one order."""
    found = shop.client.scan(TableName=shop.table, ConsistentRead=True)["Items"]
    return {item["PK"]["S"]: _sorted_sets(item) for item in found}


def _sorted_sets(attributes: dict[str, Any]) -> dict[str, Any]:
    def ordered(value: dict[str, Any]) -> dict[str, Any]:
        ((kind, content),) = value.items()
        if kind == "M":
            return {"M": _sorted_sets(content)}
        return {kind: sorted(content)} if kind in ("SS", "NS", "BS") else value

    return {name: ordered(value) for name, value in attributes.items()}


def counts(report: RollbackReport) -> dict[str, int]:
    """What became of items, where there are any."""
    return {fate: count for fate, count in report.totals().items() if count}


def left_alone(report: RollbackReport) -> list[str]:
    lines = Path(report.changed).read_text(encoding="utf-8").splitlines()
    return sorted(json.loads(line)["key"]["PK"]["S"] for line in lines)


def run(shop: Shop, *, entity: str = PERSON, **settings: Any) -> RunReport:
    report = run_plan(shop.plan(entity, **({"rollback": True} | settings)))
    assert report.error is None
    return report


def update(shop: Shop, key: str, expression: str, **values: Any) -> None:
    shop.client.update_item(
        TableName=shop.table,
        Key={"PK": {"S": key}},
        UpdateExpression=expression,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


# ---- with rollback: true


@pytest.mark.parametrize("parallelism", [1, 2])
def test_what_was_created_is_deleted_and_what_was_replaced_is_restored(shop: Shop, parallelism: int) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    ours = run(shop, parallelism=parallelism)
    assert len(table_of(shop)) == ROWS + 1
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == before
    assert counts(report) == {"deleted": ROWS - 2, "restored": 2}
    assert (report.exit_code, report.status) == (0, "rolled_back")


@pytest.mark.parametrize("on_existing", ["skip", "error"])
def test_items_that_the_run_left_as_they_were_stay(shop: Shop, on_existing: str) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    ours = run(shop, on_existing=on_existing)
    update(shop, "c001", "SET n = :two", two={"N": "2"})
    before["c001"]["n"] = {"N": "2"}
    report = roll_back(shop.plan(PERSON, on_existing=on_existing), ours.run_id)
    assert table_of(shop) == before
    assert counts(report) == {"deleted": ROWS - 2}


def test_what_somebody_changed_since_is_left_alone_and_named(shop: Shop) -> None:
    create_table(shop, BEFORE)
    ours = run(shop)
    update(shop, "c002", "SET tags = :other", other={"L": [{"S": "a"}]})
    update(shop, "c003", "SET added = :x", x={"S": ""})
    update(shop, "c030", "REMOVE tags SET n = :x", x={"N": "1"})
    shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": "c001"}})
    shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": "c004"}})
    theirs = {key: table_of(shop)[key] for key in ("c002", "c003", "c030", "OTHER")}
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == theirs
    assert counts(report) == {"deleted": ROWS - 5, "gone": 1, "changed": 4}
    assert left_alone(report) == ["c001", "c002", "c003", "c030"]
    assert (report.exit_code, report.status) == (1, "rolled_back_with_changes")


def test_items_that_the_run_did_not_change_are_none_of_a_rollback(shop: Shop) -> None:
    first = run(shop)
    before = table_of(shop)
    with closing(sqlite3.connect(shop.folder / "shop.sqlite")) as db, db:
        db.execute("UPDATE people SET name = 'new' WHERE code = 'c007'")
    second = run(shop)
    assert counts(roll_back(shop.plan(PERSON), second.run_id)) == {"restored": 1}
    assert table_of(shop) == before
    assert counts(roll_back(shop.plan(PERSON), first.run_id)) == {"deleted": ROWS}
    assert table_of(shop) == {}


def test_an_item_that_expired_is_taken_back_to_what_it_replaced(shop: Shop) -> None:
    create_table(shop, [{"PK": {"S": "c001"}, "old": {"BOOL": True}}])
    ours = run(shop, entity=PERSON.replace("name: name", "name: name, ttl: {value: 1000}"))
    for key in ("c001", "c002"):  # as DynamoDB does some time later
        shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": key}})
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == {"c001": {"PK": {"S": "c001"}, "old": {"BOOL": True}}}
    assert counts(report) == {"restored": 1, "gone": 1, "deleted": ROWS - 2}


def test_an_item_of_more_attributes_than_a_condition_can_name_is_restored(shop: Shop) -> None:
    wide = {"PK": {"S": "c001"}, **{f"a{n}": {"S": "x" * 50} for n in range(150)}}
    create_table(shop, [wide])
    ours = run(shop, entity='Person: {source: people, key: {PK: "{code}"}}')
    roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == {"c001": wide}


def before_first(operation: str, act: Callable[[], None]) -> Fault:
    """Somebody acts between the look at an item and its first write."""
    acted: list[bool] = []

    def fault(request: Request, forward: Forward) -> Reply:
        if request.operation == operation and not acted:
            acted.append(True)
            act()
        return forward(request)

    return fault


@pytest.mark.parametrize("change", ["SET added = :x", "SET PKK = :x, tags = :x", "REMOVE tags SET added = :x"])
@pytest.mark.parametrize("replaced", [True, False])
def test_a_change_in_the_very_moment_is_kept(shop: Shop, door: Door, change: str, replaced: bool) -> None:
    create_table(shop, [{"PK": {"S": "c001"}, "old": {"S": "x"}}] if replaced else [])
    ours = run(shop, entity=PERSON.replace("{source: people", "{source: people, where: code = 'c001'"))
    operation = "PutItem" if replaced else "DeleteItem"
    door.faults.append(before_first(operation, lambda: update(shop, "c001", change, x={"S": "theirs"})))
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert "theirs" in json.dumps(table_of(shop)["c001"])
    assert counts(report) == {"changed": 1}


def test_an_answer_that_was_lost_is_no_change_by_somebody_else(shop: Shop, door: Door) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    ours = run(shop)
    door.faults.append(drop_after(3, ("DeleteItem", "PutItem")))
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == before
    assert counts(report) == {"deleted": ROWS - 2, "restored": 2}


# ---- cut off


def test_a_rollback_that_was_stopped_goes_on_when_it_is_run_again(shop: Shop, door: Door) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    ours = run(shop, entity=PERSON.replace(", tags: tags|json", ""))
    door.faults.append(after(12, deny(None, ("DeleteItem", "PutItem"))))
    stopped = roll_back(shop.plan(PERSON), ours.run_id)
    assert (stopped.exit_code, stopped.error and stopped.error.code) == (3, "access_denied")
    assert len(table_of(shop)) < ROWS
    door.faults.clear()
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == before
    assert report.exit_code == 0
    assert sum(counts(report).values()) == ROWS


def after(requests: int, fault: Fault) -> Fault:
    """The fault, once so many writes are through."""
    seen = 0

    def later(request: Request, forward: Forward) -> Reply:
        nonlocal seen
        seen += request.operation in ("BatchWriteItem", "PutItem", "DeleteItem")
        return (fault if seen > requests else lambda r, f: f(r))(request, forward)

    return later


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_run_that_was_stopped_is_taken_back_whether_or_not_it_went_on(shop: Shop, door: Door, goes_on: bool) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    plan = shop.plan(PERSON, rollback=True, batch_size=5)
    # The answers get lost, so that items are there that the run does not know of.
    door.faults.append(after(1, drop_after(1, ("BatchWriteItem",))))
    door.faults.append(after(2, deny(None)))
    stopped = run_plan(plan)
    assert stopped.exit_code == 3
    assert len(table_of(shop)) > len(before)
    door.faults.clear()
    if goes_on:
        assert run_plan(plan).resumed
    report = roll_back(plan, stopped.run_id)
    assert table_of(shop) == before
    assert report.exit_code == 0
    assert not run_plan(plan).resumed


def test_what_stood_there_before_the_run_counts_not_what_a_resumed_run_met(shop: Shop, door: Door) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    plan = shop.plan(PERSON, rollback=True, batch_size=5)
    door.faults.append(after(1, deny(None)))
    stopped = run_plan(plan)
    door.faults.clear()
    (written, *_) = (key for key, item in table_of(shop).items() if item != before.get(key))
    update(shop, written, "SET added = :x", x={"S": "in between"})
    assert run_plan(plan).resumed
    assert roll_back(plan, stopped.run_id).exit_code == 0
    assert table_of(shop) == before


def test_what_cannot_be_looked_at_is_not_written(shop: Shop, door: Door) -> None:
    create_table(shop, BEFORE)
    before = table_of(shop)
    door.faults.append(deny(None, ("BatchGetItem",)))
    plan = shop.plan(PERSON, rollback=True)
    stopped = run_plan(plan)
    assert (stopped.exit_code, stopped.error and stopped.error.code) == (3, "access_denied")
    assert table_of(shop) == before
    door.faults.clear()
    door.faults.append(throttle(2, ("BatchGetItem",)))
    assert run_plan(plan).exit_code == 0
    roll_back(plan, stopped.run_id)
    assert table_of(shop) == before


def test_what_cannot_be_kept_is_not_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = shop.plan(PERSON, rollback=True)
    folder = run_folder(plan, "r1", 1_000_000)
    monkeypatch.setattr(lifetime, "new_run", lambda plan: folder)
    in_the_way = folder.undo / "0-0.jsonl"
    in_the_way.mkdir(parents=True)
    stopped = run_plan(plan)
    assert (stopped.exit_code, stopped.error and stopped.error.code) == (3, "state_unwritable")
    assert "c001" not in table_of(shop)
    in_the_way.rmdir()
    assert run_plan(plan).exit_code == 0
    assert counts(roll_back(plan, "r1")) == {"deleted": ROWS}


def test_a_line_that_was_cut_off_was_never_sent_and_others_must_be_whole(shop: Shop) -> None:
    create_table(shop, BEFORE)
    ours = run(shop)
    first, second, *_ = sorted((shop.folder / "state").glob("shop/runs/*/undo/*.jsonl"))
    with first.open("ab") as lines:
        lines.write(b'{"table": "')
    whole = second.read_bytes()
    second.write_bytes(whole.replace(b'"digest": "', b'"digest": "x', 1))
    now = table_of(shop)
    with pytest.raises(UsageError, match=r"line 1 cannot be read(.|\n)*Nothing was taken back") as refused:
        roll_back(shop.plan(PERSON), ours.run_id)
    assert refused.value.code == "undo_damaged"
    assert table_of(shop) == now
    second.write_bytes(whole)
    assert roll_back(shop.plan(PERSON), ours.run_id).exit_code == 0


# ---- what was retried of it

#: A row without a name is rejected.
NAMED = PERSON.replace("columns: none", "columns: none, rules: {name: {required: true}}")
#: Two items a row; the second is in the way of somebody.
TWO = """Person: {source: people, where: code <= 'c002', columns: none, items: [
    {key: {PK: "{code}"}, attributes: {name: name|upper}}, {key: {PK: "N#{code}"}, attributes: {name: name}}]}"""


@pytest.fixture
def before(shop: Shop) -> dict[str, dict[str, Any]]:
    """What the table holds before the run."""
    create_table(shop, BEFORE)
    return table_of(shop)


@pytest.fixture
def rejecting(shop: Shop, before: object) -> RunReport:
    """A run that left three rows, of which one has an item in the table already, and which are mended since."""
    shop.source("UPDATE people SET name = NULL WHERE code IN ('c001', 'c002', 'c003')")
    ours = run(shop, entity=NAMED)
    assert ours.totals()["rejected"] == 3
    shop.source("UPDATE people SET name = 'New' WHERE code IN ('c001', 'c002', 'c003')")
    return ours


def test_a_run_is_taken_back_with_what_was_retried_of_it(
    shop: Shop, before: dict[str, Any], rejecting: RunReport
) -> None:
    assert retry_plan(shop.plan(NAMED, rollback=True)).totals()["written"] == 3
    assert table_of(shop)["c001"]["name"] == {"S": "New"}
    report = roll_back(shop.plan(NAMED), rejecting.run_id)
    assert counts(report) == {"deleted": ROWS - 2, "restored": 2}
    assert table_of(shop) == before


def test_a_retry_that_was_cut_off_and_one_after_it_are_taken_back_too(
    shop: Shop, before: dict[str, Any], rejecting: RunReport, door: Door
) -> None:
    plan = shop.plan(NAMED, rollback=True)
    door.faults.append(drop_after(1))  # it is written, and then nothing more
    door.faults.append(after(1, deny(None)))
    assert retry_plan(plan).exit_code == 3
    door.faults.clear()
    shop.source("UPDATE people SET name = 'Newer' WHERE code IN ('c001', 'c002', 'c003')")
    assert retry_plan(plan).exit_code == 0
    assert table_of(shop)["c001"]["name"] == {"S": "Newer"}
    assert roll_back(plan, rejecting.run_id).exit_code == 0
    assert table_of(shop) == before


def test_an_item_that_a_retry_wrote_over_the_runs_is_taken_back_from_under_it_too(shop: Shop) -> None:
    theirs = {"PK": {"S": "N#c001"}, "x": {"S": "theirs"}}
    create_table(shop, [theirs])
    ours = run(shop, entity=TWO, on_existing="error")
    assert ours.totals()["failed"] == 1
    edited = TWO.replace("name|upper", "name|lower")
    assert retry_plan(shop.plan(edited, rollback=True)).totals()["written"] == 2
    assert table_of(shop)["c001"]["name"] == {"S": "name 1"}
    report = roll_back(shop.plan(edited), ours.run_id)
    assert counts(report) == {"restored": 2, "deleted": 3}
    assert table_of(shop) == {"N#c001": theirs}


def test_without_it_a_run_that_found_the_table_empty_is_taken_back_with_what_a_retry_kept(
    shop: Shop, door: Door
) -> None:
    door.faults.append(refuse_key("c007"))
    ours = run(shop, rollback=False)
    assert ours.totals()["failed"] == 1
    door.faults.clear()
    assert retry_plan(shop.plan(PERSON, rollback=True)).exit_code == 0
    assert counts(roll_back(shop.plan(PERSON), ours.run_id)) == {"deleted": ROWS, "gone": 1}
    assert table_of(shop) == {}


def refuse_key(key: str) -> Fault:
    def fault(request: Request, forward: Forward) -> Reply:
        if request.operation == "BatchWriteItem" and f'"{key}"'.encode() in request.body:
            return Reply.error("com.amazon.coral.validate#ValidationException", "not this one")
        return forward(request)

    return fault


def test_without_it_nothing_is_kept_of_a_retry(shop: Shop, rejecting: RunReport) -> None:
    retry_plan(shop.plan(NAMED))
    assert list((shop.folder / "state").rglob("undo-retries")) == []
    roll_back(shop.plan(NAMED), rejecting.run_id)
    assert sorted(table_of(shop)) == ["OTHER", "c001", "c002", "c003", "c030"]


def test_a_retry_is_taken_back_with_its_run_alone(shop: Shop, rejecting: RunReport) -> None:
    retry = retry_plan(shop.plan(NAMED, rollback=True))
    with pytest.raises(UsageError, match=f"it is a retry of run {rejecting.run_id}, and is taken back with that"):
        roll_back(shop.plan(NAMED), retry.run_id)


# ---- how fast


def test_a_rollback_keeps_to_the_write_rate(shop: Shop) -> None:
    three = PERSON.replace("{source: people", "{source: people, where: code <= 'c003'")
    ours = run(shop, entity=three)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    roll_back(shop.plan(three), ours.run_id, timing=Timing(sleep=sleep))
    assert waits == []
    again = run(shop, entity=three)
    roll_back(shop.plan(three, write_rate=4), again.run_id, timing=Timing(sleep=sleep))
    assert waits
    assert table_of(shop) == {}


# ---- the run before


def test_after_it_the_run_before_is_the_last_and_verifies_equal(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = shop.plan(PERSON, items="[{PK: STATUS, at: {now: +0d}}]", rollback=True)
    reports = []
    for now_s in (1_000_000, 2_000_000):
        monkeypatch.setattr(lifetime, "new_run", lambda plan, now_s=now_s: run_folder(plan, f"r{now_s}", now_s))
        reports.append(run_plan(plan))
    assert counts(roll_back(plan, reports[1].run_id)) == {"restored": 1}
    assert table_of(shop)["STATUS"]["at"] == {"N": "1000000"}
    assert verify_plan(plan).exit_code == 0


# ---- without


def test_without_it_nothing_is_read_and_nothing_is_kept(shop: Shop, door: Door) -> None:
    create_table(shop, BEFORE)
    run(shop, rollback=False)
    assert door.requests["BatchGetItem"] == door.requests["GetItem"] == 0
    assert list((shop.folder / "state").rglob("undo")) == []


def test_without_it_a_run_that_found_the_table_empty_is_taken_back(shop: Shop) -> None:
    ours = run(shop, rollback=False, parallelism=2)
    shop.client.put_item(TableName=shop.table, Item=BEFORE[2])
    update(shop, "c002", "SET added = :x", x={"S": "y"})
    shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": "c003"}})
    theirs = {key: table_of(shop)[key] for key in ("c002", "OTHER")}
    report = roll_back(shop.plan(PERSON), ours.run_id)
    assert table_of(shop) == theirs
    assert counts(report) == {"deleted": ROWS - 2, "gone": 1, "changed": 1}
    assert left_alone(report) == ["c002"]


def test_without_it_rows_that_lost_their_key_count_for_nothing(shop: Shop) -> None:
    shop.source(
        "CREATE TABLE teams (id INTEGER PRIMARY KEY, team TEXT); INSERT INTO teams VALUES (1,'a'),(2,'b'),(3,'a');"
    )
    by_half = 'Team: {source: teams, key: {PK: "{team}"}, attributes: {n: id}, columns: none}'
    ours = run(shop, entity=by_half, rollback=False)
    assert ours.exit_code == 1
    report = roll_back(shop.plan(by_half), ours.run_id)
    assert counts(report) == {"deleted": 2}
    assert table_of(shop) == {}


def test_without_it_a_run_that_was_cut_off_is_taken_back_from_its_snapshot(shop: Shop, door: Door) -> None:
    with closing(sqlite3.connect(shop.folder / "shop.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")
    plan = shop.plan(PERSON, items="[{PK: now, at: {now: +1d}}]", batch_size=5)
    door.faults.append(after(3, deny(None)))
    stopped = run_plan(plan)
    assert stopped.exit_code == 3
    assert table_of(shop)
    door.faults.clear()
    with closing(sqlite3.connect(shop.folder / "shop.sqlite")) as db, db:
        db.execute("DELETE FROM people")
    assert roll_back(plan, stopped.run_id).exit_code == 0
    assert table_of(shop) == {}
    assert list((shop.folder / "state" / "shop" / "snapshots").iterdir()) == []


def _other_source(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.folder / "shop.sqlite")) as db, db:
        db.execute("DELETE FROM people WHERE code = 'c001'")


@pytest.mark.parametrize(
    ("change", "entity", "named"),
    [(_other_source, PERSON, "the source"), (lambda _: None, PERSON.replace("name: name, ", ""), "the mapping")],
)
def test_without_it_source_and_mapping_must_be_as_they_were(shop: Shop, change: Break, entity: str, named: str) -> None:
    ours = run(shop, rollback=False)
    before = table_of(shop)
    change(shop)
    with pytest.raises(UsageError, match=f"Changed since: {named}"):
        roll_back(shop.plan(entity), ours.run_id)
    assert table_of(shop) == before


def test_without_it_a_run_that_was_given_up_for_another_cannot_be_told_from_that(shop: Shop, door: Door) -> None:
    plan = shop.plan(PERSON, batch_size=5)
    door.faults.append(after(3, deny(None)))
    stopped = run_plan(plan)
    door.faults.clear()
    assert run_plan(plan, restart=True).exit_code == 0
    with pytest.raises(UsageError, match="a later run wrote to the table"):
        roll_back(plan, stopped.run_id)


# ---- refused


def _other_target(shop: Shop) -> None:
    shop.url = shop.url.replace("127.0.0.1", "localhost")


def _table_made_anew(shop: Shop) -> None:
    shop.client.delete_table(TableName=shop.table)
    shop.client.get_waiter("table_not_exists").wait(TableName=shop.table, WaiterConfig={"Delay": 0.1})
    time.sleep(0.01)  # an engine without table ids tells them apart by their time
    create_table(shop, [])


def _table_gone(shop: Shop) -> None:
    shop.client.delete_table(TableName=shop.table)
    shop.client.get_waiter("table_not_exists").wait(TableName=shop.table, WaiterConfig={"Delay": 0.1})


def _other_table(shop: Shop) -> None:
    shop.table += "x"


REFUSED: dict[str, tuple[Break, str]] = {
    "another target": (_other_target, "another endpoint or region"),
    "a table made anew": (_table_made_anew, "which was made anew"),
    "a table that is gone": (_table_gone, "which is gone"),
    "a table that the plan has not": (_other_table, "the plan has no table"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_run_into_other_tables_is_refused(shop: Shop, change: Break, reason: str) -> None:
    ours = run(shop)
    change(shop)
    with pytest.raises(UsageError, match=reason) as refused:
        roll_back(shop.plan(PERSON), ours.run_id)
    assert (refused.value.exit_code, refused.value.code) == (2, "rollback_refused")


def test_without_it_a_table_that_was_not_empty_is_refused(shop: Shop) -> None:
    create_table(shop, BEFORE)
    ours = run(shop, rollback=False)
    now = table_of(shop)
    with pytest.raises(UsageError, match=r"was not seen to find table .* empty") as refused:
        roll_back(shop.plan(PERSON, rollback=True), ours.run_id)
    assert refused.value.exit_code == 2
    assert table_of(shop) == now


def test_a_run_is_rolled_back_once(shop: Shop) -> None:
    ours = run(shop)
    roll_back(shop.plan(PERSON), ours.run_id)
    with pytest.raises(UsageError, match=r"it was rolled back already(.|\n)*rollback\.json"):
        roll_back(shop.plan(PERSON), ours.run_id)


def test_a_dry_run_and_one_that_wrote_nothing_have_nothing_to_take_back(shop: Shop, door: Door) -> None:
    dry = run_plan(shop.plan(PERSON), dry_run=True)
    door.faults.append(deny(None, ("CreateTable",)))
    denied = run_plan(shop.plan(PERSON))
    assert denied.exit_code == 3
    for report, reason in ((dry, "it was a dry run"), (denied, "it stopped before it wrote anything")):
        with pytest.raises(UsageError, match=reason):
            roll_back(shop.plan(PERSON), report.run_id)


def test_an_unknown_run_is_refused_with_the_names_of_those_there_are(shop: Shop) -> None:
    with pytest.raises(UsageError, match="has no runs in"):
        roll_back(shop.plan(PERSON), "20260101T000000Z-abcdef")
    ours = run(shop)
    with pytest.raises(UsageError, match=f"knows no run nope\n  runs: {ours.run_id}"):
        roll_back(shop.plan(PERSON), "nope")


def test_what_a_run_kept_goes_with_its_folder(shop: Shop) -> None:
    first = run(shop, keep_runs=1)
    run(shop, keep_runs=1)
    assert len(list((shop.folder / "state").rglob("undo"))) == 1
    with pytest.raises(UsageError, match="knows no run"):
        roll_back(shop.plan(PERSON), first.run_id)
