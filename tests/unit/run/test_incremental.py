"""Runs that send only what changed: what is written, what is deleted, and what the ledger may not believe any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.run import opened
from migrator.run.clear import clear_table
from migrator.run.engine import run_plan
from migrator.run.replay import retry_plan
from migrator.run.report import RunReport
from migrator.run.rollback import roll_back
from shop import Shop, open_shop

PEOPLE = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
INSERT INTO people SELECT i, 'name ' || i, 'city ' || (i % 4) FROM n;
INSERT INTO pets VALUES (1, 1, 'Rex'), (2, 2, 'Tom');
"""
PERSON = "Person: {source: people, key: {PK: 'PERSON#{id}'}, attributes: {name: name}, columns: none}"
CITY = "City: {source: people, key: {PK: '{city}'}, columns: none}"
ANY = {"hash": {"max_deletes": "100%"}}


@pytest.fixture
def shop(tmp_path: Path, moto_url: str) -> Iterator[Shop]:
    with open_shop(tmp_path, moto_url, PEOPLE) as shop:
        yield shop


def change(shop: Shop, script: str) -> None:
    shop.source(script)


def run(shop: Shop, *entities: str, incremental: Any = ANY, **settings: Any) -> RunReport:
    options = {name: settings.pop(name) for name in ("dry_run", "restart") if name in settings}
    names = settings.pop("names", ())
    plan = shop.plan(*(entities or (PERSON,)), incremental=incremental, **settings)
    return run_plan(plan, entities=names, **options)


def counts(report: RunReport) -> tuple[float, float, float]:
    """Written, unchanged and deleted."""
    assert report.error is None, report.error
    totals = report.totals()
    return totals["written"], totals["unchanged"], totals["deleted"]


# ---- what is written


def test_a_first_run_writes_everything_and_a_second_one_nothing(shop: Shop) -> None:
    assert counts(run(shop)) == (40, 0, 0)
    assert counts(run(shop)) == (0, 40, 0)


def test_a_row_that_changed_is_written_and_one_that_is_gone_is_deleted(shop: Shop) -> None:
    run(shop)
    change(shop, "UPDATE people SET name = 'Ada' WHERE id = 3; DELETE FROM people WHERE id IN (5, 6)")
    change(shop, "INSERT INTO people VALUES (99, 'new', 'x'); UPDATE people SET id = 77 WHERE id = 7")
    assert counts(run(shop)) == (3, 36, 3)
    items = shop.items()
    assert items["PERSON#3"] == {"name": "Ada"}
    assert {"PERSON#99", "PERSON#77"} <= items.keys()
    assert items.keys().isdisjoint({"PERSON#5", "PERSON#6", "PERSON#7"})


def test_a_row_that_changed_and_kept_its_key_is_deleted_when_it_is_gone(shop: Shop) -> None:
    run(shop)
    change(shop, "UPDATE people SET name = 'Ada' WHERE id IN (3, 8)")
    assert counts(run(shop)) == (2, 38, 0)
    change(shop, "DELETE FROM people WHERE id IN (3, 9)")
    assert counts(run(shop)) == (0, 38, 2)
    assert shop.items().keys().isdisjoint({"PERSON#3", "PERSON#9"})


@pytest.mark.parametrize(("where", "ids"), [("id = 3", [3]), ("id % 2 = 0", range(2, 41, 2)), ("true", range(1, 41))])
def test_bytes_are_those_of_the_items_that_are_sent(shop: Shop, where: str, ids: Iterable[int]) -> None:
    run(shop)
    change(shop, f"UPDATE people SET name = name || 'é' WHERE {where}")
    dry, real = (run(shop, dry_run=dry_run).entities[0].bytes for dry_run in (True, False))
    assert dry == real == sum(len(f"PKPERSON#{n}namename {n}é".encode()) for n in ids)


def test_a_dry_run_says_what_a_run_would_do_and_does_nothing(shop: Shop) -> None:
    run(shop)
    change(shop, "UPDATE people SET name = 'Ada' WHERE id = 3; DELETE FROM people WHERE id = 5")
    assert counts(run(shop, dry_run=True)) == (1, 38, 1)
    assert len(shop.items()) == 40
    assert counts(run(shop)) == (1, 38, 1)


def test_a_changed_child_row_renders_its_parent_anew(shop: Shop) -> None:
    pets = "attributes: {pets: {list: {source: pets, match: {owner: id}, value: name}}}"
    person = f"Person: {{source: people, key: {{PK: 'PERSON#{{id}}'}}, {pets}, columns: none}}"
    run(shop, person)
    change(shop, "UPDATE pets SET name = 'Max' WHERE id = 2; INSERT INTO pets VALUES (3, 9, 'Kit')")
    assert counts(run(shop, person)) == (2, 38, 0)


def test_a_row_that_is_encoded_another_way_changes_nothing_but_itself(shop: Shop) -> None:
    """Rows are encoded by columns, or one by one where one of them is odd: both must give the same bytes."""
    person = "Person: {source: people, key: {PK: 'PERSON#{id}'}}"
    run(shop, person)
    change(shop, "UPDATE people SET city = x'00ff' WHERE id = 8")
    assert counts(run(shop, person)) == (1, 39, 0)


def test_an_edited_mapping_compares_everything_anew(shop: Shop) -> None:
    run(shop)
    edited = PERSON.replace("name: name", "name: name|upper")
    assert counts(run(shop, edited)) == (40, 0, 0)
    assert counts(run(shop, edited)) == (0, 40, 0)


def test_rows_of_a_query_are_known_again_where_others_came_before_them(shop: Shop) -> None:
    query = "Person: {source: {query: SELECT * FROM people, key: [id]}, key: {PK: 'PERSON#{id}'}}"
    run(shop, query)
    change(shop, "INSERT INTO people VALUES (-5, 'first', 'x'); DELETE FROM people WHERE id = 1")
    assert counts(run(shop, query)) == (1, 39, 1)


def test_an_item_that_failed_is_written_again(shop: Shop) -> None:
    person = "Person: {source: people, key: {PK: 'PERSON#{id}'}, attributes: {name: name}, columns: none}"
    run(shop, person)
    change(shop, "UPDATE people SET name = printf('%.*c', 450000, 'x') WHERE id = 4")
    assert run(shop, person, validate=False).totals()["failed"] == 1
    change(shop, "UPDATE people SET name = 'name 4' WHERE id = 4")
    assert counts(run(shop, person)) == (1, 39, 0)


# ---- what is deleted


def test_missing_items_are_kept_where_the_plan_says_so(shop: Shop) -> None:
    keep = {"hash": {"on_missing": "keep"}}
    run(shop, incremental=keep)
    change(shop, "DELETE FROM people WHERE id > 10")
    assert counts(run(shop, incremental=keep)) == (0, 10, 0)
    assert len(shop.items()) == 40


def test_a_run_stops_before_it_deletes_too_much_and_the_next_one_begins_anew(shop: Shop) -> None:
    run(shop, incremental="hash")
    change(shop, "DELETE FROM people WHERE id <= 5; UPDATE people SET name = 'Ada' WHERE id = 20")
    stopped = run(shop, incremental="hash")
    assert stopped.error is not None
    assert (stopped.exit_code, stopped.error.code) == (3, "too_many_deletes")
    assert (stopped.totals()["written"], stopped.totals()["deleted"], len(shop.items())) == (1, 0, 40)
    again = run(shop, incremental="hash")
    assert again.error is not None
    assert (again.resumed, again.error.code, again.totals()["unchanged"]) == (False, "too_many_deletes", 35)
    assert counts(run(shop, incremental={"hash": {"max_deletes": 5}})) == (0, 35, 5)
    assert len(shop.items()) == 35


def test_rows_that_come_back_are_not_deleted_by_a_later_run(shop: Shop) -> None:
    run(shop, incremental="hash")
    change(shop, "CREATE TABLE aside AS SELECT * FROM people WHERE id <= 5; DELETE FROM people WHERE id <= 5")
    assert run(shop, incremental="hash").exit_code == 3
    change(shop, "INSERT INTO people SELECT * FROM aside")
    assert counts(run(shop, incremental="hash")) == (5, 35, 0)
    assert len(shop.items()) == 40


def test_a_tenth_may_go_by_default(shop: Shop) -> None:
    run(shop, incremental="hash")
    change(shop, "DELETE FROM people WHERE id <= 4")
    assert counts(run(shop, incremental="hash")) == (0, 36, 4)


def test_an_item_of_several_rows_goes_with_the_last_of_them(shop: Shop) -> None:
    run(shop, CITY)
    change(shop, "DELETE FROM people WHERE id IN (1, 5)")
    assert counts(run(shop, CITY))[2] == 0
    change(shop, "DELETE FROM people WHERE city = 'city 1'")
    assert counts(run(shop, CITY))[2] == 1
    assert shop.items().keys() == {"city 0", "city 2", "city 3"}


def test_an_item_that_another_entity_gives_now_stays(shop: Shop) -> None:
    pet = "Pet: {source: pets, key: {PK: 'PERSON#{id}'}, attributes: {name: name}, columns: none}"
    change(shop, "DELETE FROM pets")
    run(shop, PERSON, pet)
    change(shop, "DELETE FROM people WHERE id = 9; INSERT INTO pets VALUES (9, 1, 'Rex')")
    assert counts(run(shop, PERSON, pet)) == (1, 39, 0)
    assert shop.items()["PERSON#9"] == {"name": "Rex"}


def test_a_rejected_row_keeps_its_item_until_it_is_gone(shop: Shop) -> None:
    person = "Person: {source: people, key: {PK: 'PERSON#{id}'}, attributes: {name: name|number}, columns: none}"
    change(shop, "UPDATE people SET name = id")
    run(shop, person)
    change(shop, "UPDATE people SET name = 'no number' WHERE id = 3; DELETE FROM people WHERE id = 4")
    for _ in range(2):
        assert run(shop, person).totals()["rejected"] == 1
        assert ("PERSON#3" in shop.items(), "PERSON#4" in shop.items()) == (True, False)
    change(shop, "DELETE FROM people WHERE id = 3")
    assert counts(run(shop, person)) == (0, 38, 1)


def test_rows_without_a_key_that_are_rejected_keep_what_vanished(shop: Shop) -> None:
    person = "Person: {source: everyone, key: {PK: '{id}'}, attributes: {n: name|number}}"
    change(shop, "UPDATE people SET name = id; CREATE VIEW everyone AS SELECT * FROM people")
    run(shop, person)
    change(shop, "UPDATE people SET name = 'no number' WHERE id = 3; DELETE FROM people WHERE id = 4")
    assert run(shop, person).totals()["deleted"] == 0
    change(shop, "UPDATE people SET name = 3 WHERE id = 3")
    assert counts(run(shop, person))[2] == 1


# ---- parts of a plan


def test_entities_that_are_left_out_keep_what_they_gave(shop: Shop) -> None:
    run(shop, PERSON, CITY)
    change(shop, "DELETE FROM people WHERE id = 1; UPDATE people SET name = 'Ada' WHERE id = 2")
    assert counts(run(shop, PERSON, CITY, names=["City"])) == (0, 4, 0)
    assert counts(run(shop, PERSON, CITY)) == (1, 42, 1)


def test_what_an_entity_that_is_left_out_gives_too_stays(shop: Shop) -> None:
    pet = "Pet: {source: pets, key: {PK: '{city}'}, columns: none}"
    change(shop, "DROP TABLE pets; CREATE TABLE pets (id INTEGER PRIMARY KEY, city TEXT)")
    change(shop, "INSERT INTO pets VALUES (1, 'city 1')")
    run(shop, CITY, pet)
    change(shop, "DELETE FROM people WHERE city = 'city 1'")
    assert counts(run(shop, CITY, pet, names=["City"]))[2] == 0
    assert "city 1" in shop.items()


def test_what_another_entity_wrote_over_is_written_again(shop: Shop) -> None:
    pet = "Pet: {source: pets, key: {PK: 'PERSON#{id}'}, attributes: {name: name}, columns: none}"
    run(shop, PERSON)
    assert counts(run(shop, PERSON, pet, names=["Pet"])) == (2, 0, 0)
    change(shop, "DELETE FROM pets")
    run(shop, PERSON, pet)
    assert shop.items()["PERSON#1"] == {"name": "name 1"}


def test_what_the_plan_has_lost_stays_and_is_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    run(shop, PERSON, CITY)
    assert counts(run(shop, CITY))[2] == 0
    assert "Person is not in the plan any more: its 40 items stay" in caplog.text
    assert len(shop.items()) == 44


# ---- what is not believed


def test_a_table_that_was_made_anew_is_filled_anew(shop: Shop) -> None:
    run(shop)
    shop.client.delete_table(TableName=shop.table)
    assert counts(run(shop)) == (40, 0, 0)


def test_a_table_that_was_cleared_is_filled_anew(shop: Shop) -> None:
    run(shop)
    clear_table(shop.plan(PERSON, incremental=ANY), shop.table)
    assert counts(run(shop)) == (40, 0, 0)


def test_restart_writes_everything_and_deletes_what_is_gone(shop: Shop) -> None:
    run(shop)
    change(shop, "DELETE FROM people WHERE id = 1")
    assert counts(run(shop, restart=True)) == (39, 0, 1)


def test_after_a_run_that_kept_no_ledger_everything_is_written(shop: Shop) -> None:
    run(shop)
    change(shop, "UPDATE people SET name = 'Ada' WHERE id = 3")
    run(shop, incremental="off")
    change(shop, "UPDATE people SET name = 'name 3' WHERE id = 3")
    assert counts(run(shop)) == (40, 0, 0)
    assert shop.items()["PERSON#3"] == {"name": "name 3"}


def test_a_rollback_brings_back_what_was_replaced_and_deleted(shop: Shop) -> None:
    run(shop, rollback=True)
    before = shop.items()
    change(shop, "UPDATE people SET name = 'Ada' WHERE id = 3; DELETE FROM people WHERE id = 5")
    change(shop, "INSERT INTO people VALUES (99, 'new', 'x')")
    second = run(shop, rollback=True)
    assert counts(second) == (2, 38, 1)
    roll_back(shop.plan(PERSON, incremental=ANY, rollback=True), second.run_id)
    assert shop.items() == before
    assert counts(run(shop)) == (40, 0, 1)
    assert shop.items().keys() == {f"PERSON#{n}" for n in (*range(1, 5), *range(6, 41), 99)}


def test_what_a_retry_wrote_is_known_to_the_next_run(shop: Shop) -> None:
    person = "Person: {source: people, key: {PK: '{name}'}, columns: none}"
    change(shop, "UPDATE people SET name = NULL WHERE id = 3")
    assert run(shop, person).totals()["rejected"] == 1
    change(shop, "UPDATE people SET name = 'mended' WHERE id = 3")
    assert retry_plan(shop.plan(person, incremental=ANY)).exit_code == 0
    assert "mended" in shop.items()
    change(shop, "DELETE FROM people WHERE id = 3")
    assert counts(run(shop, person)) == (0, 39, 1)
    assert "mended" not in shop.items()


def test_a_ledger_that_cannot_be_read_is_put_aside_by_restart(shop: Shop) -> None:
    run(shop)
    (ledger,) = (shop.folder / "state/shop/ledgers").iterdir()
    ledger.write_bytes(b"no database")
    stopped = run(shop)
    assert stopped.error is not None
    assert (stopped.exit_code, stopped.error.code) == (3, "ledger_unreadable")
    assert counts(run(shop, restart=True)) == (40, 0, 0)


# ---- how the source is cut


def test_a_table_that_grows_and_shrinks_is_cut_again_and_its_ledger_stays_small(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 10)
    run(shop)
    for start in range(100, 1000, 100):
        change(
            shop,
            f"DELETE FROM people; INSERT INTO people SELECT {start} + value, 'n', 'c' FROM json_each('{[*range(35)]}')",
        )
        assert counts(run(shop))[0] == 35
        assert counts(run(shop)) == (0, 35, 0)
        assert len(shop.items()) == 35
    (ledger,) = (shop.folder / "state/shop/ledgers").iterdir()
    with closing(sqlite3.connect(ledger)) as db:
        assert db.execute("SELECT count(*) FROM parts").fetchone()[0] <= 8
