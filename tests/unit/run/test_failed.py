"""A line of the failed file names the row that gave the item, whatever other row would have given its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.run import opened
from migrator.run.engine import run_plan
from migrator.target.table import create_table
from shop import Shop

#: By rowid 'c' comes first; by the source key, which decides, 'a' and 'b' do.
SOURCE = """
    CREATE TABLE people (code TEXT PRIMARY KEY, team TEXT);
    INSERT INTO people VALUES ('c', 'red'), ('d', NULL), ('b', 'red'), ('a', 'blue');
"""
BY_TEAM = '{key: {PK: "{team}"}, attributes: {code: code}}'
BY_CODE = '{key: {PK: "{code}"}, attributes: {}}'


def failed(shop: Shop, entity: str, *taken: str) -> list[tuple[Any, str]]:
    """Source key and item key of each failed line, where items of others have these keys."""
    plan = shop.plan(entity, on_existing="error")
    create_table(shop.client, plan.mappings[0].table)
    for key in taken:
        shop.client.put_item(TableName=shop.table, Item={"PK": {"S": key}, "of": {"S": "others"}})
    report = run_plan(plan)
    lines = [json.loads(line) for line in Path(report.failed or "").read_text("utf-8").splitlines()]
    return [(line["row"], line["key"]["PK"]["S"]) for line in lines]


@pytest.mark.parametrize("segment_rows", [1, 20_000])
def test_it_is_the_row_that_holds_the_key(shop: Shop, monkeypatch: pytest.MonkeyPatch, segment_rows: int) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", segment_rows)
    lines = failed(shop, f"Person: {{source: people, columns: none, items: [{BY_TEAM}]}}", "red")
    assert lines == [({"code": {"S": "b"}}, "red")]


def test_each_of_a_rows_items_names_it(shop: Shop) -> None:
    items = f"[{BY_CODE}, {BY_TEAM}]"
    lines = failed(shop, f"Person: {{source: people, columns: none, where: code = 'a', items: {items}}}", "a", "blue")
    assert sorted(lines, key=lambda line: line[1]) == [({"code": {"S": "a"}}, "a"), ({"code": {"S": "a"}}, "blue")]


def test_a_row_without_a_key_is_named_by_its_values(shop: Shop) -> None:
    shop.source("CREATE VIEW members AS SELECT team, code FROM people")
    lines = failed(shop, f"Member: {{source: members, columns: none, where: code < 'd', items: [{BY_TEAM}]}}", "blue")
    assert lines == [({"code": {"S": "a"}, "team": {"S": "blue"}}, "blue")]
