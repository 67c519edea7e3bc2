"""Metrics of runs, read as those who collect them read them."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from door import Door
from migrator.errors import UsageError
from migrator.run.engine import run_plan
from migrator.run.lock import plan_lock
from migrator.run.metrics_prometheus import LAST_SUCCESS
from shop import Shop

SOURCE = """
    CREATE TABLE people (code TEXT PRIMARY KEY, name);
    INSERT INTO people VALUES ('a', 'Al'), ('b', 'Bo'), ('c', NULL);
"""
BY_CODE = 'Person: {source: people, key: {PK: "{code}"}, columns: none}'
BY_NAME = 'Person: {source: people, key: {PK: "{name}"}, columns: none}'
#: "The embedded metric format JSON schema", from the specification of the format, with the limits that stand beside it.
EMF_SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "minItems": 1,
                                    "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": ["Count", "Seconds", "Bytes", "None"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# ---- Prometheus

PROMETHEUS = {"prometheus": "shop.prom"}


def samples(shop: Shop) -> dict[tuple[str, ...], float]:
    """Name, plan, entity and result, where it has them -> value."""
    text = (shop.folder / "shop.prom").read_text("utf-8")
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    labels = ("plan", "entity", "result")
    assert all(sample.labels.keys() <= set(labels) for sample in found)
    return {(s.name, *(s.labels[label] for label in labels if label in s.labels)): s.value for s in found}


def test_a_run_is_told_to_prometheus_by_plan_and_entity(shop: Shop) -> None:
    report = run_plan(shop.plan(BY_NAME, metrics=PROMETHEUS))
    (person,) = report.entities
    found = samples(shop)
    finished = found.pop(("migrator_run_last_completion_timestamp_seconds", "shop"))
    assert finished == report.finished_at.timestamp()
    assert found == {
        ("migrator_run_exit_code", "shop"): 1,
        ("migrator_run_duration_seconds", "shop"): report.duration_s,
        ("migrator_run_requests", "shop"): report.requests.sent,
        ("migrator_run_retried_requests", "shop"): 0,
        ("migrator_run_throttled_requests", "shop"): 0,
        ("migrator_run_rows", "shop", "Person", "read"): 3,
        ("migrator_run_rows", "shop", "Person", "rejected"): 1,
        ("migrator_run_items", "shop", "Person", "written"): 2,
        ("migrator_run_items", "shop", "Person", "unchanged"): 0,
        ("migrator_run_items", "shop", "Person", "deleted"): 0,
        ("migrator_run_items", "shop", "Person", "skipped"): 0,
        ("migrator_run_items", "shop", "Person", "failed"): 0,
        ("migrator_run_write_units", "shop", "Person"): person.write_units,
        ("migrator_run_written_bytes", "shop", "Person"): person.bytes,
    }


def test_every_metric_is_a_gauge_with_a_help_and_no_counters_name(shop: Shop) -> None:
    run_plan(shop.plan(BY_CODE, metrics=PROMETHEUS))
    text = (shop.folder / "shop.prom").read_text("utf-8")
    families = list(text_string_to_metric_families(text))
    assert {(family.type, bool(family.documentation)) for family in families} == {("gauge", True)}
    # What `promtool check metrics` has against a gauge's name.
    assert not [family.name for family in families if family.name.endswith(("_total", "_count", "_sum", "_bucket"))]


def test_the_last_success_is_not_forgotten_by_runs_that_fail(shop: Shop) -> None:
    good = run_plan(shop.plan(BY_CODE, metrics=PROMETHEUS))
    for _ in range(2):
        run_plan(shop.plan(BY_NAME, metrics=PROMETHEUS))
    found = samples(shop)
    assert found["migrator_run_exit_code", "shop"] == 1
    assert found[LAST_SUCCESS, "shop"] == good.finished_at.timestamp()


@pytest.mark.parametrize("content", [b"\xff\x00", b"half a li", b'a{plan="', b"migrator_run x y z\n", b""])
def test_a_file_that_is_no_metrics_file_is_replaced(shop: Shop, content: bytes) -> None:
    (shop.folder / "shop.prom").write_bytes(content)
    run_plan(shop.plan(BY_NAME, metrics=PROMETHEUS))
    found = samples(shop)
    assert found["migrator_run_exit_code", "shop"] == 1
    assert (LAST_SUCCESS, "shop") not in found


def test_a_plan_that_no_longer_fits_its_source_shows_by_its_exit_code(shop: Shop) -> None:
    good = run_plan(shop.plan(BY_CODE, metrics=PROMETHEUS))
    shop.source("ALTER TABLE people RENAME code TO id")
    with pytest.raises(UsageError):
        run_plan(shop.plan(BY_CODE, metrics=PROMETHEUS))
    found = samples(shop)
    assert found.pop(("migrator_run_last_completion_timestamp_seconds", "shop")) >= good.finished_at.timestamp()
    assert found == {
        ("migrator_run_exit_code", "shop"): 2,
        (LAST_SUCCESS, "shop"): good.finished_at.timestamp(),
    }


def test_names_of_any_letters_arrive(shop: Shop) -> None:
    entity = BY_CODE.replace("Person", '"Käufer \\"a\\" \\\\"')
    run_plan(shop.plan(entity, metrics=PROMETHEUS))
    assert samples(shop)["migrator_run_rows", "shop", 'Käufer "a" \\', "read"] == 3


# ---- CloudWatch


def events(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        jsonschema.validate(event, EMF_SCHEMA)
        (directive,) = event["_aws"]["CloudWatchMetrics"]
        # Each name that the directive refers to is a member of the root: dimensions as text, metrics as numbers.
        assert all(isinstance(event[name], str) for names in directive["Dimensions"] for name in names)
        assert all(isinstance(event[metric["Name"]], int | float) for metric in directive["Metrics"])
    return found


def figures(event: dict[str, Any]) -> dict[str, float]:
    (directive,) = event["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: event[metric["Name"]] for metric in directive["Metrics"]}


def in_file(shop: Shop) -> list[dict[str, Any]]:
    return events((shop.folder / "emf.log").read_text("utf-8"))


CLOUDWATCH = {"cloudwatch": {"namespace": "Shop/Migrator", "file": "emf.log"}}


def test_a_run_is_told_to_cloudwatch_as_a_whole_and_by_entity(shop: Shop) -> None:
    report = run_plan(shop.plan(BY_NAME, metrics=CLOUDWATCH))
    (person,) = report.entities
    whole, one = in_file(shop)
    counts = {
        "RowsRead": 3,
        "RowsRejected": 1,
        "ItemsWritten": 2,
        "ItemsUnchanged": 0,
        "ItemsDeleted": 0,
        "ItemsSkipped": 0,
        "ItemsFailed": 0,
        "WriteUnits": person.write_units,
        "WrittenBytes": person.bytes,
    }
    run = {
        "ExitCode": 1,
        "Duration": report.duration_s,
        "Requests": report.requests.sent,
        "Retries": 0,
        "Throttles": 0,
    }
    assert (figures(whole), figures(one)) == (run | counts, counts)
    assert [event["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for event in (whole, one)] == [
        [["plan"]],
        [["plan", "entity"]],
    ]
    assert {event["_aws"]["CloudWatchMetrics"][0]["Namespace"] for event in (whole, one)} == {"Shop/Migrator"}
    assert (one["plan"], one["entity"], one["run_id"], one["status"]) == (
        "shop",
        "Person",
        report.run_id,
        "completed_with_rejects",
    )


def test_events_of_many_runs_stand_in_one_file(shop: Shop) -> None:
    for _ in range(2):
        run_plan(shop.plan(BY_CODE, metrics=CLOUDWATCH))
    assert len(in_file(shop)) == 4


def test_without_a_file_events_go_to_standard_error(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    run_plan(shop.plan(BY_CODE, metrics={"cloudwatch": {"namespace": "N"}}))
    shown = capsys.readouterr()
    assert (shown.out, len(events(shown.err))) == ("", 2)


def test_a_plan_that_no_longer_fits_its_source_is_an_event_of_its_exit_code(shop: Shop) -> None:
    plan = shop.plan(BY_CODE, metrics=CLOUDWATCH)
    shop.source("ALTER TABLE people RENAME code TO id")
    with pytest.raises(UsageError):
        run_plan(plan)
    (event,) = in_file(shop)
    assert (figures(event), event["error"]) == ({"ExitCode": 2}, "document")


def test_names_of_any_letters_are_dimensions_that_cloudwatch_takes(shop: Shop) -> None:
    run_plan(shop.plan(BY_CODE.replace("Person", "Käufer"), metrics=CLOUDWATCH))
    assert in_file(shop)[1]["entity"] == "K\\xe4ufer"


# ---- both


def test_a_dry_run_and_a_run_that_another_one_keeps_out_tell_nothing(shop: Shop) -> None:
    plan = shop.plan(BY_CODE, metrics=PROMETHEUS | CLOUDWATCH)
    run_plan(plan, dry_run=True)
    with plan_lock(plan.settings.state_dir, plan.name):
        run_plan(plan)
    assert not (shop.folder / "shop.prom").exists()
    assert not (shop.folder / "emf.log").exists()


@pytest.mark.parametrize(
    "metrics",
    [{"prometheus": "none/shop.prom"}, {"cloudwatch": {"namespace": "N", "file": "none/emf.log"}}],
    ids=["prometheus", "cloudwatch"],
)
def test_a_file_that_cannot_be_written_is_one_warning(
    shop: Shop, caplog: pytest.LogCaptureFixture, metrics: dict[str, Any]
) -> None:
    report = run_plan(shop.plan(BY_CODE, metrics=metrics))
    assert report.exit_code == 0
    (warning,) = warnings(caplog)
    assert warning.startswith(f"settings.metrics: {shop.folder}/none/")
    assert warning.endswith(" cannot be written: No such file or directory")


@pytest.mark.parametrize(
    ("metrics", "package"),
    [(PROMETHEUS, "prometheus_client"), (CLOUDWATCH, "aws_embedded_metrics")],
    ids=["prometheus", "cloudwatch"],
)
def test_a_missing_extra_is_named_before_the_run_begins(
    shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch, metrics: dict[str, Any], package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf'{package}\n  pip install "migrator\[metrics\]"'):
        run_plan(shop.plan(BY_CODE, metrics=metrics))
    assert not door.requests
