"""The Terraform module, as python-hcl2 reads it; where terraform is installed its own formatter has a look."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from export_definitions import EVERYTHING, SHIPPED, SILENT, defined
from migrator.mapping.document import load_mapping
from migrator.mapping.model import TableDefinition
from migrator.target.export import export_tables

TERRAFORM = shutil.which("terraform")
READ = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False)

TABLE = "resource.aws_dynamodb_table.order_history"
PROVISIONED = 'var.billing_mode == "PROVISIONED" ? var.{} : null'

# Where in the module of EVERYTHING -> what stands there
SETTINGS = [
    (f"{TABLE}.name", "${var.stage}-OrderHistory"),
    (f"{TABLE}.hash_key", "id"),
    (f"{TABLE}.range_key", "at"),
    (f"{TABLE}.billing_mode", "${var.billing_mode}"),
    (f"{TABLE}.read_capacity", f"${{{PROVISIONED.format('read_capacity')}}}"),
    (f"{TABLE}.write_capacity", f"${{{PROVISIONED.format('write_capacity')}}}"),
    (f"{TABLE}.table_class", "${var.table_class}"),
    (f"{TABLE}.deletion_protection_enabled", "${var.enable_deletion_protection}"),
    (f"{TABLE}.stream_enabled", True),
    (f"{TABLE}.stream_view_type", "NEW_AND_OLD_IMAGES"),
    (f"{TABLE}.attribute.0", {"name": "id", "type": "N"}),
    (f"{TABLE}.attribute.1", {"name": "at", "type": "B"}),
    (f"{TABLE}.attribute.2", {"name": "owner", "type": "S"}),
    (f"{TABLE}.attribute.3", {"name": "state", "type": "S"}),
    (f"{TABLE}.attribute.4", {"name": "total", "type": "N"}),
    (
        f"{TABLE}.global_secondary_index.0",
        {
            "name": "by-owner",
            "hash_key": "owner",
            "range_key": "at",
            "projection_type": "INCLUDE",
            "non_key_attributes": ["note", "total"],
            "read_capacity": f"${{{PROVISIONED.format('by_owner_read_capacity')}}}",
            "write_capacity": f"${{{PROVISIONED.format('by_owner_write_capacity')}}}",
        },
    ),
    (
        f"{TABLE}.global_secondary_index.1",
        {
            "name": "ByState",
            "hash_key": "state",
            "projection_type": "KEYS_ONLY",
            "read_capacity": f"${{{PROVISIONED.format('read_capacity')}}}",
            "write_capacity": f"${{{PROVISIONED.format('write_capacity')}}}",
        },
    ),
    (f"{TABLE}.local_secondary_index", [{"name": "by-total", "range_key": "total", "projection_type": "ALL"}]),
    (f"{TABLE}.ttl", [{"attribute_name": "expires", "enabled": True}]),
    (f"{TABLE}.point_in_time_recovery", [{"enabled": "${var.enable_point_in_time_recovery}"}]),
    (
        f"{TABLE}.server_side_encryption",
        [{"enabled": True, "kms_key_arn": "${data.aws_kms_key.order_history.arn}"}],
    ),
    (f"{TABLE}.warm_throughput", [{"read_units_per_second": 13000, "write_units_per_second": 5000}]),
    (f"{TABLE}.tags", '${merge({Stage = var.stage, "cost:center" = "x-${var.stage}-1"}, var.tags)}'),
    ("data.aws_kms_key.order_history.key_id", "alias/${var.stage}-orders"),
    (
        "resource.aws_dynamodb_contributor_insights.order_history",
        {"table_name": "${aws_dynamodb_table.order_history.name}"},
    ),
    ("variable.stage.default", "dev"),
    ("variable.billing_mode.default", "PROVISIONED"),
    (
        "variable.billing_mode.validation.0.condition",
        '${contains(["PAY_PER_REQUEST", "PROVISIONED"], var.billing_mode)}',
    ),
    ("variable.read_capacity.default", 3),
    ("variable.read_capacity.validation.0.condition", "${var.read_capacity >= 1}"),
    ("variable.by_owner_write_capacity.default", 8),
    ("variable.enable_point_in_time_recovery.default", True),
    ("variable.enable_deletion_protection.default", True),
    ("variable.table_class.default", "STANDARD_INFREQUENT_ACCESS"),
    (
        "variable.table_class.validation.0.condition",
        '${contains(["STANDARD", "STANDARD_INFREQUENT_ACCESS"], var.table_class)}',
    ),
    ("variable.tags.default", {"Project": 'a "quoted" $${word}', "Nothing": ""}),
    ("output.order_history_table_name.value", "${aws_dynamodb_table.order_history.name}"),
    ("output.order_history_table_arn.value", "${aws_dynamodb_table.order_history.arn}"),
    ("output.order_history_table_stream_arn.value", "${aws_dynamodb_table.order_history.stream_arn}"),
    ("output.order_history_gsi_names.value", ["by-owner", "ByState"]),
    ("output.order_history_lsi_names.value", ["by-total"]),
    ("output.table_names.value", {"order_history": "${aws_dynamodb_table.order_history.name}"}),
    ("output.table_arns.value", {"order_history": "${aws_dynamodb_table.order_history.arn}"}),
]

ALARM = {
    "alarm_name": "${aws_dynamodb_table.order_history.name}-read-throttle",
    "alarm_description": "Reads of the table order_history are throttled",
    "namespace": "AWS/DynamoDB",
    "metric_name": "ReadThrottleEvents",
    "statistic": "Sum",
    "period": 300,
    "evaluation_periods": 2,
    "comparison_operator": "GreaterThanThreshold",
    "threshold": 0,
    "treat_missing_data": "notBreaching",
    "alarm_actions": "${var.alarm_actions}",
    "tags": "${aws_dynamodb_table.order_history.tags}",
    "dimensions": {"TableName": "${aws_dynamodb_table.order_history.name}"},
}


def exported(definitions: list[TableDefinition], *, alarms: bool = False) -> str:
    return export_tables(definitions, "terraform", command="migrator …", alarms=alarms)


def parsed(text: str) -> dict[str, Any]:
    """Give the blocks by kind and labels."""
    module: dict[str, Any] = {}
    for kind, blocks in hcl2.loads(text, serialization_options=READ).items():
        for block in blocks if kind in ("variable", "output", "data", "resource") else ():
            _put(module, [kind], block, labels=2 if kind in ("data", "resource") else 1)
    return module


def _put(module: dict[str, Any], path: list[str], block: dict[str, Any], labels: int) -> None:
    for label, body in block.items():
        if labels > 1:
            _put(module, [*path, label.strip('"')], body, labels - 1)
        else:
            place = module
            for name in path:
                place = place.setdefault(name, {})
            place[label.strip('"')] = body


def at(module: Any, path: str) -> Any:
    for step in path.split("."):
        module = module[int(step)] if isinstance(module, list) else module[step]
    return module


# Of the module: parsing HCL takes most of the time here, and nobody changes what comes of it.
@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parsed(exported(defined(tmp_path_factory.mktemp("everything"), EVERYTHING), alarms=True))


@pytest.mark.parametrize(("path", "value"), SETTINGS, ids=[path for path, _ in SETTINGS])
def test_a_setting_stands_in_the_module(path: str, value: Any, everything: dict[str, Any]) -> None:
    assert at(everything, path) == value


def test_an_alarm_watches_the_reads_of_a_table(everything: dict[str, Any]) -> None:
    assert at(everything, "resource.aws_cloudwatch_metric_alarm.order_history_read_throttle") == ALARM


def test_reads_and_writes_of_the_table_and_of_each_global_index_have_an_alarm(everything: dict[str, Any]) -> None:
    alarms = at(everything, "resource.aws_cloudwatch_metric_alarm").values()
    watched = [(each["metric_name"], each["dimensions"].get("GlobalSecondaryIndexName")) for each in alarms]
    assert watched == [
        (metric, index)
        for index in (None, "by-owner", "ByState")
        for metric in ("ReadThrottleEvents", "WriteThrottleEvents")
    ]


def test_whom_alarms_notify_is_a_variable_that_is_empty_at_first(everything: dict[str, Any]) -> None:
    assert at(everything, "variable.alarm_actions.default") == []


def test_without_alarms_nothing_speaks_of_them(tmp_path: Path) -> None:
    assert "alarm" not in exported(defined(tmp_path, EVERYTHING))


def test_what_a_mapping_does_not_say_is_left_out(tmp_path: Path) -> None:
    module = parsed(exported(defined(tmp_path, SILENT)))
    assert set(at(module, "resource.aws_dynamodb_table.sessions")) == {
        *("name", "billing_mode", "read_capacity", "write_capacity", "table_class", "hash_key"),
        *("deletion_protection_enabled", "attribute", "point_in_time_recovery", "tags"),
    }


def test_the_key_that_aws_manages_is_named_by_no_arn(tmp_path: Path) -> None:
    module = parsed(exported(defined(tmp_path, f"{SILENT}  encryption: AWS_MANAGED\n")))
    assert at(module, "resource.aws_dynamodb_table.sessions.server_side_encryption") == [{"enabled": True}]


def test_only_warm_throughput_asks_for_a_newer_provider(tmp_path: Path) -> None:
    versions = [exported(defined(tmp_path, block)).partition("version = ")[2][:9] for block in (EVERYTHING, SILENT)]
    assert versions == ['">= 6.13"', '">= 5.0"\n']


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_variable_that_is_used_is_declared_and_every_declared_one_used(path: Path) -> None:
    text = exported([load_mapping(path).table], alarms=True)
    used = {word.partition("var.")[2] for word in text.replace("}", " ").replace(")", " ").split() if "var." in word}
    assert {name.rstrip(",") for name in used} == set(parsed(text)["variable"])


@pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed")
def test_terraform_would_format_it_no_otherwise(tmp_path: Path) -> None:
    shipped = [load_mapping(path).table for path in SHIPPED]
    text = exported([*defined(tmp_path, EVERYTHING, SILENT), *shipped], alarms=True)
    formatted = subprocess.run([str(TERRAFORM), "fmt", "-"], input=text, capture_output=True, text=True, check=True)
    assert text == formatted.stdout.rstrip("\n")
