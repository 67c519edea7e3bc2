"""Whole runs against the embedded engine: who keeps a key, what stops a run, and what a run leaves behind."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from migrator.run import engine, opened, ways
from migrator.run.engine import run_plan
from migrator.run.report import RunReport
from migrator.run.verify import verify_plan
from shop import Shop

PEOPLE = """
    CREATE TABLE people (code TEXT PRIMARY KEY, name TEXT, team TEXT);
    INSERT INTO people VALUES ('c', 'Cy', 'red'), ('b', 'Bo', 'red'), ('a', 'Al', 'blue');
"""
BY_TEAM = 'Person: {source: people, key: {PK: "{team}"}, attributes: {name: name}, columns: none}'
BY_CODE = 'Person: {source: people, key: {PK: "P#{code}"}, attributes: {name: name}, columns: none}'


def counts(report: RunReport, *names: str) -> dict[str, tuple[int, ...]]:
    """Entity -> its counts."""
    fields = names or ("read", "items", "written", "skipped", "rejected")
    return {entity.entity: tuple(getattr(entity, name) for name in fields) for entity in report.entities}


def rejects(report: RunReport) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(report.rejects or "").read_text("utf-8").splitlines()]


# ---- one key from two rows


@pytest.mark.parametrize("segment_rows", [1, 20_000])
def test_the_first_row_in_order_of_the_source_key_keeps_a_key_whatever_its_rowid(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, segment_rows: int
) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", segment_rows)
    shop.source(PEOPLE)
    report = run_plan(shop.plan(BY_TEAM))
    assert shop.items() == {"blue": {"name": "Al"}, "red": {"name": "Bo"}}
    assert counts(report) == {"Person": (3, 2, 2, 0, 1)}
    (line,) = rejects(report)
    assert (line["code"], line["row"]) == ("duplicate_key", {"code": {"S": "c"}})
    assert "Person" in line["detail"]
    assert '"b"' in line["detail"] or "'b'" in line["detail"]
    assert (report.exit_code, report.status) == (1, "completed_with_rejects")


def test_a_later_row_that_gives_an_equal_item_is_skipped(shop: Shop) -> None:
    shop.source(PEOPLE + "UPDATE people SET name = 'Bo' WHERE code = 'c';")
    report = run_plan(shop.plan(BY_TEAM))
    assert counts(report) == {"Person": (3, 3, 2, 1, 0)}
    assert report.exit_code == 0


def test_fixed_items_come_before_all_entities(shop: Shop) -> None:
    shop.source(PEOPLE)
    report = run_plan(shop.plan(BY_TEAM, items="[{PK: red, name: fixed}, {PK: blue, name: Al}]"))
    assert shop.items() == {"blue": {"name": "Al"}, "red": {"name": "fixed"}}
    assert counts(report) == {"items": (0, 2, 2, 0, 0), "Person": (3, 1, 0, 1, 2)}


def test_entities_come_in_the_mappings_order_or_the_plans(shop: Shop) -> None:
    shop.source(PEOPLE)
    first = 'First: {source: people, key: {PK: "{code}"}, attributes: {a: {value: 1}}, columns: none}'
    second = 'Second: {source: people, key: {PK: "{code}"}, attributes: {a: {value: 2}}, columns: none}'
    assert counts(run_plan(shop.plan(first, second)), "written") == {"First": (3,), "Second": (0,)}
    assert {item["a"] for item in shop.items().values()} == {"1"}
    turned = shop.plan(first, second, more="entities: [Second, First]")
    assert counts(run_plan(turned), "written") == {"Second": (3,), "First": (0,)}
    assert {item["a"] for item in shop.items().values()} == {"2"}
    assert counts(run_plan(turned, entities=["First"]), "written") == {"First": (3,)}
    assert {item["a"] for item in shop.items().values()} == {"1"}


def test_over_two_files_the_source_key_decides_and_then_the_files_order(shop: Shop) -> None:
    shop.source(PEOPLE.replace("'a', 'Al'", "'d', 'Di'"), "one.sqlite")
    shop.source("CREATE TABLE people (code TEXT PRIMARY KEY, name, team);", "two.sqlite")
    shop.source("INSERT INTO people VALUES ('a', 'Ed', 'red'), ('d', 'Fy', 'blue');", "two.sqlite")
    report = run_plan(shop.plan(BY_TEAM, source="[one.sqlite, two.sqlite]"))
    assert shop.items() == {"red": {"name": "Ed"}, "blue": {"name": "Di"}}
    assert sorted((Path(line["file"]).name, line["row"]["code"]["S"]) for line in rejects(report)) == [
        ("one.sqlite", "b"),
        ("one.sqlite", "c"),
        ("two.sqlite", "d"),
    ]


def test_a_row_that_is_rejected_holds_no_key_so_a_later_one_may_have_it(shop: Shop) -> None:
    shop.source("""
        CREATE TABLE links (id INTEGER PRIMARY KEY, one, two);
        INSERT INTO links VALUES (1, 'x', 'y'), (2, 'y', 'z'), (3, 'z', 'w'), (4, 'w', 'v');
    """)
    item = '{key: {PK: "{%s}"}, attributes: {n: id}}'
    entity = f"Link: {{source: links, columns: none, items: [{item % 'one'}, {item % 'two'}]}}"
    report = run_plan(shop.plan(entity))
    assert shop.items() == {"x": {"n": "1"}, "y": {"n": "1"}, "z": {"n": "3"}, "w": {"n": "3"}}
    assert [line["row"]["id"]["N"] for line in rejects(report)] == ["2", "4"]


# ---- rules


def test_a_unique_rule_rejects_later_rows_or_counts_them(shop: Shop) -> None:
    shop.source(PEOPLE)
    error = BY_CODE[:-1] + ", rules: {team: {unique: true}}}"
    report = run_plan(shop.plan(error))
    assert [(r["code"], r["column"], r["row"]["code"]["S"]) for r in rejects(report)] == [("unique", "team", "c")]
    assert set(shop.items()) == {"P#a", "P#b"}
    warn = error.replace("unique: true", "unique: true, severity: warn")
    assert counts(run_plan(shop.plan(warn)), "written", "rejected", "warnings") == {"Person": (3, 0, 1)}


# ---- settings


def test_on_existing_says_what_becomes_of_an_item_that_is_there(shop: Shop) -> None:
    shop.source(PEOPLE)
    run_plan(shop.plan(BY_CODE))
    shop.source("UPDATE people SET name = 'new' WHERE code = 'a';")
    skipping = run_plan(shop.plan(BY_CODE, on_existing="skip"))
    assert counts(skipping, "items", "written", "skipped", "failed")["Person"] == (3, 0, 3, 0)
    assert skipping.exit_code == 0
    refusing = run_plan(shop.plan(BY_CODE, on_existing="error"))
    assert counts(refusing, "items", "written", "skipped", "failed")["Person"] == (3, 2, 0, 1)
    assert refusing.exit_code == 1
    assert "P#a" in Path(refusing.failed or "").read_text("utf-8")
    assert shop.items()["P#a"] == {"name": "Al"}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"on_reject": "stop"}, "too_many_rejects"),
        ({"max_rejects": 0}, "too_many_rejects"),
        ({"max_rejects": 1}, "too_many_rejects"),
        ({"max_rejects": 2}, None),
    ],
)
def test_a_run_stops_when_more_rows_are_rejected_than_the_plan_allows(
    shop: Shop, settings: dict[str, Any], code: str | None
) -> None:
    shop.source(PEOPLE + "INSERT INTO people VALUES ('d', NULL, NULL), ('e', NULL, NULL);")
    entity = BY_CODE.replace("P#{code}", "P#{name}")
    report = run_plan(shop.plan(entity, **settings))
    assert (report.error.code if report.error else None) == code
    assert report.exit_code == (3 if code else 1)
    assert report.status == ("failed" if code else "completed_with_rejects")
    assert len(rejects(report)) == counts(report, "rejected")["Person"][0]


@pytest.mark.parametrize("setting", ["full", "sample"])
def test_verify_after_the_run_is_in_its_report(shop: Shop, setting: str) -> None:
    shop.source(PEOPLE)
    report = run_plan(shop.plan(BY_TEAM, verify=setting))
    assert report.verification is not None
    (entity,) = report.verification.entities
    assert (entity.expected, entity.found, entity.differences) == (2, 2, 0)
    assert report.verification.sample == (None if setting == "full" else engine.VERIFY_SAMPLE)


def test_verify_after_the_run_fails_it_where_the_table_differs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source(PEOPLE)
    verify = engine.verify_opened

    def after_damage(*args: Any, **more: Any) -> Any:
        shop.client.delete_item(TableName=shop.table, Key={"PK": {"S": "P#a"}})
        return verify(*args, **more)

    monkeypatch.setattr(engine, "verify_opened", after_damage)
    report = run_plan(shop.plan(BY_CODE, verify="full"))
    assert (report.exit_code, report.status) == (4, "failed")


def test_a_dry_run_writes_nothing_and_tells_what_the_run_will(shop: Shop) -> None:
    shop.source(PEOPLE + "INSERT INTO people VALUES ('d', 'Di', NULL), ('e', 'Bo', 'red');")
    plan = shop.plan(BY_TEAM, items="[{PK: S, name: s}]")
    dry = run_plan(plan, dry_run=True)
    assert shop.table not in shop.client.list_tables()["TableNames"]
    real = run_plan(plan)
    names = ("read", "items", "written", "skipped", "rejected", "failed", "warnings", "bytes", "write_units")
    assert counts(dry, *names) == counts(real, *names)
    assert counts(real) == {"items": (0, 1, 1, 0, 0), "Person": (5, 3, 2, 1, 2)}
    assert Path(dry.rejects or "").read_bytes() == Path(real.rejects or "").read_bytes()
    assert (dry.dry_run, real.dry_run) == (True, False)


def test_only_the_last_runs_are_kept(shop: Shop) -> None:
    shop.source(PEOPLE)
    plan = shop.plan(BY_CODE, keep_runs=2)
    reports = [run_plan(plan, dry_run=True) for _ in range(4)]
    kept = {folder.name for folder in (shop.folder / "state" / "shop" / "runs").iterdir()}
    assert len(kept) == 2
    assert reports[-1].run_id in kept


def test_a_moment_means_the_same_when_the_table_is_verified_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source(PEOPLE)
    plan = shop.plan(BY_CODE, items="[{PK: S, at: {now: +0d}}]")
    with monkeypatch.context() as past:
        past.setattr("migrator.run.history.time.time", lambda: 1_700_000_000.5)
        run_plan(plan)
    assert shop.items()["S"] == {"at": "1700000000"}
    run_plan(plan, dry_run=True)
    assert verify_plan(plan).exit_code == 0


def change_the_source_before_writing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare: Callable[..., None] = ways.prepare_tables

    def meanwhile(*args: Any, **more: Any) -> None:
        (shop.folder / "shop.sqlite").chmod(0o644)
        shop.source("UPDATE people SET name = 'changed'")
        prepare(*args, **more)

    monkeypatch.setattr(ways, "prepare_tables", meanwhile)


def test_a_run_does_not_see_what_is_written_meanwhile(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source(PEOPLE)
    change_the_source_before_writing(shop, monkeypatch)
    assert run_plan(shop.plan(BY_CODE)).exit_code == 0
    assert "changed" not in {item["name"] for item in shop.items().values()}


def test_a_source_that_nobody_may_write_is_refused_when_it_changes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source(PEOPLE)
    (shop.folder / "shop.sqlite").chmod(0o444)
    change_the_source_before_writing(shop, monkeypatch)
    report = run_plan(shop.plan(BY_CODE))
    assert report.error is not None
    assert (report.exit_code, report.status, report.error.code) == (3, "failed", "source_changed")
    assert (
        json.loads((Path(report.rejects or "").parent / "report.json").read_text())["error"]["code"] == "source_changed"
    )


def test_the_report_has_the_keys_of_its_contract_and_is_kept(shop: Shop) -> None:
    shop.source(PEOPLE)
    wanted = shop.folder / "out" / "report.json"
    report = run_plan(shop.plan(BY_CODE, items="[{PK: S}]"), report_file=wanted)
    document = json.loads(wanted.read_text("utf-8"))
    assert json.loads((shop.folder / "state/shop/runs" / report.run_id / "report.json").read_text()) == document
    assert " ".join(document) == (
        "run_id version plan status exit_code dry_run resumed started_at finished_at duration_s"
        " source target entities totals requests rejects failed error timeline"
    )
    (file,) = document["source"]
    assert " ".join(file) == "path snapshot read items written rejected failed error"
    assert document["target"] == {"region": "us-east-1", "endpoint_url": shop.url, "tables": [shop.table]}
    fixed, person = document["entities"]
    assert " ".join(person) == (
        "entity table source read items written skipped unchanged deleted rejected failed unsent warnings bytes"
        " write_units duration_s"
    )
    assert (fixed["entity"], fixed["source"], fixed["read"], fixed["written"]) == ("items", None, 0, 1)
    assert (person["entity"], person["source"], person["read"], person["written"]) == ("Person", "people", 3, 3)
    assert " ".join(document["totals"]) == (
        "read items written skipped unchanged deleted rejected failed unsent write_units"
    )
    assert " ".join(document["requests"]) == "sent retried throttled unprocessed_items latency_ms"
    assert set(document["requests"]["latency_ms"]) == {"mean", "p50", "p99"}
    assert document["error"] is None


def test_runs_of_one_process_do_not_pile_up_what_they_are_done_with(shop: Shop) -> None:
    shop.source(PEOPLE)
    plan = shop.plan(BY_CODE)
    before = sessions()
    for _ in range(12):
        run_plan(plan)
    assert sessions() - before < 12


def sessions() -> int:
    """Cycles of thousands of objects, which only the garbage collector takes away."""
    return sum(type(found) is Session for found in gc.get_objects())
