"""The forecast of a dry run, from what it counted, and the samples of a real one."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import new_client
from migrator.run.engine import run_plan
from migrator.run.plan import Plan, load_plan
from migrator.target.prices import ClassPrices, Prices, RegionPrices

ROWS = 50
MAPPING = """
table:
  name: {name}
  partition_key: PK
  global_indexes:
    ALL: {{partition_key: team}}
    KEYS: {{partition_key: rare, projection: KEYS_ONLY}}
  {more}
entities:
  Person: {{source: people, key: {{PK: "P#{{id}}", team: "{{team}}", rare: "{{rare}}"}}}}
"""
PRICES = Prices("2027-01-01", "x", "USD", "us-east-1", {"us-east-1": RegionPrices("us-east-1", {}, None)})


@pytest.fixture
def table(moto_url: str) -> Iterator[str]:
    name = f"forecast-{uuid.uuid4().hex}"
    yield name
    client = new_client(moto_url)
    if name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    client.close()


@pytest.fixture
def plan(tmp_path: Path, moto_url: str, table: str) -> Any:
    with closing(sqlite3.connect(tmp_path / "people.sqlite")) as source:
        source.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, team TEXT, rare TEXT, note TEXT)")
        rows = ((n, "red", "x" if n == 1 else None, "y" * 1_500) for n in range(ROWS))
        source.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", rows)
        source.commit()

    def make(more: str = "", **settings: Any) -> Plan:
        (tmp_path / "people.yaml").write_text(MAPPING.format(name=table, more=more))
        (tmp_path / "plan.yaml").write_text(
            "name: people\nsource: people.sqlite\nmappings: [people.yaml]\n"
            f"target: {{endpoint_url: '{moto_url}', region: us-east-1}}\n"
            f"settings: {json.dumps({'parallelism': 1, 'state_dir': 'state'} | settings)}\n"
        )
        return load_plan(tmp_path / "plan.yaml")

    return make


def test_a_dry_run_forecasts_items_indexes_and_units(plan: Any) -> None:
    found = run_plan(plan(), dry_run=True).to_json()["forecast"]
    assert (found["items"], found["estimate"]) == (ROWS, False)
    # All are in the one index, one is in the other; an item takes 2 units, its key alone 1.
    assert (found["index_entries"], found["write_units"]) == (ROWS + 1, 2 * ROWS + 2 * ROWS + 1)
    assert found["bytes"] < found["index_bytes"] < found["bytes"] + 200


def test_an_index_of_keys_holds_no_more_than_keys(plan: Any) -> None:
    found = run_plan(plan(), dry_run=True).to_json()["forecast"]
    assert found["index_bytes"] - found["bytes"] == len("PK") + len("P#1") + len("rare") + len("x")


@pytest.mark.parametrize(
    ("more", "settings", "rate"),
    [
        ("", {}, 4_000),
        ("billing_mode: {read: 5, write: 50}", {}, 50),
        ("warm_throughput: {read: 12000, write: 6000}", {}, 6_000),
        ("", {"write_rate": 10}, 10),
        ("billing_mode: {read: 5, write: 50}", {"write_rate": 100}, 50),
    ],
)
def test_it_takes_as_long_as_the_table_and_the_plan_let_it(
    plan: Any, more: str, settings: dict[str, Any], rate: float
) -> None:
    found = run_plan(plan(more, **settings), dry_run=True).to_json()["forecast"]
    assert found["write_rate"] == rate
    assert found["duration_s"] == pytest.approx(found["write_units"] / rate, abs=0.001)


def test_a_dry_run_forecasts_at_the_prices_it_is_given(plan: Any) -> None:
    dear = RegionPrices("us-east-1", {"STANDARD": ClassPrices(write_million=1_000_000)})
    prices = Prices("2027-01-01", "x", "USD", "us-east-1", {"us-east-1": dear})
    found = run_plan(plan(), dry_run=True, prices=prices).to_json()["forecast"]
    assert found["cost"]["on_demand"] == found["write_units"]


def test_a_dry_run_prints_its_forecast(plan: Any) -> None:
    assert (
        "forecast, at the prices of 2027-01-01 for us-east-1" in run_plan(plan(), dry_run=True, prices=PRICES).to_text()
    )


def test_a_dry_run_that_was_stopped_forecasts_nothing(plan: Any) -> None:
    stopping = plan(on_reject="stop")
    with closing(sqlite3.connect(stopping.sources[0])) as source:
        source.execute("UPDATE people SET note = CAST(x'ff' AS TEXT)")
        source.commit()
    stopped = run_plan(stopping, dry_run=True)
    assert (stopped.exit_code, stopped.forecast) == (3, None)


def test_a_run_samples_what_it_wrote(plan: Any) -> None:
    report = run_plan(plan()).to_json()
    assert sum(report["timeline"]["items"]) == report["totals"]["written"] == ROWS
    assert sum(report["timeline"]["write_units"]) == report["totals"]["write_units"]
    assert "forecast" not in report


def test_a_dry_run_has_no_samples(plan: Any) -> None:
    assert "timeline" not in run_plan(plan(), dry_run=True).to_json()
