"""`migrator table clear`: all items of one table go, the table stays, and every way to do it by mistake is refused."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from door import Door, Forward, Reply, Request
from door_faults import deny, leave_unprocessed, throttle
from door_keeps import KeptSettings
from migrator.cli.app import run_command
from migrator.run.lock import plan_lock
from migrator.target.clear import SEGMENTS

MAPPING = """
version: 1
table: {{name: {name}, partition_key: name, sort_key: {{number: N}}, deletion_protection: false}}
entities:
  {name}: {{source: parts, key: {{name: name, number: number}}}}
"""
PLAN = """
version: 1
name: clearing
source: missing.sqlite
mappings: [ClearTest.yaml, OtherTest.yaml]
settings: {give_up_after: 1s}
"""
#: "name" is a reserved word; more items than a batch takes.
ITEMS = [{"name": {"S": f"n{n % 7}"}, "number": {"N": str(n)}, "rest": {"S": "x" * 50}} for n in range(130)]


@pytest.fixture
def plan(tmp_path: Path, door: Door, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tables, both full."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", door.url)
    for name in ("ClearTest", "OtherTest"):
        (tmp_path / f"{name}.yaml").write_text(MAPPING.format(name=name), encoding="utf-8")
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    run_command(["table", "create", str(path)])
    for name in ("ClearTest", "OtherTest"):
        fill(dynamodb, name)
    return path


def fill(dynamodb: Any, name: str) -> None:
    for start in range(0, len(ITEMS), 25):
        puts = [{"PutRequest": {"Item": item}} for item in ITEMS[start : start + 25]]
        assert not dynamodb.batch_write_item(RequestItems={name: puts})["UnprocessedItems"]


def count(dynamodb: Any, name: str) -> int:
    return int(dynamodb.scan(TableName=name, Select="COUNT", ConsistentRead=True)["Count"])


def clear(plan: Path, *arguments: str) -> int:
    return run_command(["table", "clear", str(plan), *arguments])


def small_pages(request: Request, forward: Forward) -> Reply:
    """What a table of many megabytes does: pages that end before the segment does."""
    return forward(request.with_document({**request.document, "Limit": 7}) if request.operation == "Scan" else request)


def test_all_items_of_that_table_go_and_no_others(plan: Path, dynamodb: Any, capsys: Any) -> None:
    capsys.readouterr()
    assert clear(plan, "--yes", "ClearTest") == 0
    assert capsys.readouterr().out == "ClearTest: 130 items deleted, none is left\n"
    assert (count(dynamodb, "ClearTest"), count(dynamodb, "OtherTest")) == (0, 130)


def test_page_after_page_is_deleted_while_it_is_read(plan: Path, dynamodb: Any, door: Door, capsys: Any) -> None:
    door.faults.append(small_pages)
    assert clear(plan, "--yes", "ClearTest") == 0
    assert "130 items deleted, none is left" in capsys.readouterr().out
    assert door.requests["Scan"] > 2 * SEGMENTS


def test_each_item_is_deleted_once(plan: Path, door: Door) -> None:
    clear(plan, "--yes", "ClearTest")
    assert len(door.deletes) == 130
    assert set(door.deletes.values()) == {1}


def test_the_plans_write_rate_holds(plan: Path, dynamodb: Any) -> None:
    plan.write_text(PLAN.replace("{give_up_after: 1s}", "{write_rate: 100}"), encoding="utf-8")
    started = time.monotonic()
    assert clear(plan, "--yes", "ClearTest") == 0
    assert count(dynamodb, "ClearTest") == 0
    # The last batch need not be paid for, and a tenth of a second may be saved up.
    assert time.monotonic() - started > (130 - 25) / 100 - 0.1


def test_what_is_left_unprocessed_is_sent_again(plan: Path, dynamodb: Any, door: Door) -> None:
    door.faults.append(leave_unprocessed(4, times=6))
    assert clear(plan, "--yes", "ClearTest") == 0
    assert count(dynamodb, "ClearTest") == 0


def test_a_throttled_table_is_waited_for(plan: Path, dynamodb: Any, door: Door) -> None:
    door.faults.append(throttle(3, ["BatchWriteItem", "Scan"]))
    assert clear(plan, "--yes", "ClearTest") == 0
    assert count(dynamodb, "ClearTest") == 0


def test_items_that_stay_unprocessed_for_good_are_3(plan: Path, door: Door, capsys: Any) -> None:
    door.faults.append(leave_unprocessed(25))
    assert clear(plan, "--yes", "ClearTest") == 3
    assert "items stay unprocessed" in capsys.readouterr().err


def test_access_denied_is_3(plan: Path, door: Door, capsys: Any) -> None:
    door.faults.append(deny(None, ["BatchWriteItem"]))
    assert clear(plan, "--yes", "ClearTest") == 3
    assert "allow this identity the named action" in capsys.readouterr().err


def test_items_written_meanwhile_are_counted(plan: Path, dynamodb: Any, door: Door, capsys: Any) -> None:
    once = threading.Lock()

    def write_before_the_count(request: Request, forward: Forward) -> Reply:
        if request.document.get("Select") == "COUNT" and once.acquire(blocking=False):
            put = {"TableName": "ClearTest", "Item": ITEMS[0]}
            forward(Request("PutItem", request.headers, b"").with_document(put))
        return forward(request)

    capsys.readouterr()
    door.faults.append(write_before_the_count)
    assert clear(plan, "--yes", "ClearTest") == 1
    assert capsys.readouterr().out == "ClearTest: 130 items deleted, 1 are in it now: they were written meanwhile\n"


# ---- what is refused


@pytest.mark.parametrize("arguments", [["ClearTest"], ["--yes"], []])
def test_without_both_the_word_and_the_name_it_says_what_to_type(
    plan: Path, dynamodb: Any, capsys: Any, arguments: list[str]
) -> None:
    name = "ClearTest" if "ClearTest" in arguments else "TABLE"
    assert clear(plan, *arguments) == 2
    said = capsys.readouterr().err
    assert f"type: migrator table clear {plan} --yes {name}\n  tables: ClearTest, OtherTest\n" in said
    assert count(dynamodb, "ClearTest") == 130


@pytest.mark.parametrize("name", ["cleartest", "ClearTest2", "missing"])
def test_another_name_than_one_of_the_plans_is_refused(plan: Path, dynamodb: Any, capsys: Any, name: str) -> None:
    assert clear(plan, "--yes", name) == 2
    assert "tables: ClearTest, OtherTest" in capsys.readouterr().err
    assert count(dynamodb, "ClearTest") == 130


def test_a_protected_table_is_refused(plan: Path, dynamodb: Any, door: Door, capsys: Any) -> None:
    door.keeps(settings := KeptSettings())
    dynamodb.delete_table(TableName="ClearTest")
    mapping = plan.with_name("ClearTest.yaml")
    mapping.write_text(mapping.read_text().replace("deletion_protection: false", "deletion_protection: true"))
    run_command(["table", "create", str(plan)])
    assert settings.of("CreateTable")
    fill(dynamodb, "ClearTest")
    assert clear(plan, "--yes", "ClearTest") == 3
    assert "its deletion_protection is on" in capsys.readouterr().err
    assert count(dynamodb, "ClearTest") == 130


def test_a_table_with_other_keys_is_refused(plan: Path, dynamodb: Any, capsys: Any) -> None:
    mapping = plan.with_name("ClearTest.yaml")
    mapping.write_text(mapping.read_text().replace("{number: N}", "{number: S}").replace("number: number", "number: x"))
    assert clear(plan, "--yes", "ClearTest") == 3
    assert "sort_key: should be number (S), is number (N)" in capsys.readouterr().err
    assert count(dynamodb, "ClearTest") == 130


def test_a_run_of_the_same_plan_holds_it_off(plan: Path, dynamodb: Any) -> None:
    with plan_lock(plan.parent / ".migrator", "clearing"):
        assert clear(plan, "--yes", "ClearTest") == 5
    assert count(dynamodb, "ClearTest") == 130
