"""What the formats share, and json."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import click
import pytest
from botocore.validate import ParamValidator

from export_definitions import EVERYTHING, SILENT, defined
from migrator.cli.tables import export_definitions
from migrator.errors import UsageError
from migrator.mapping.model import TableDefinition
from migrator.target.export import FORMATS, export_tables
from migrator.target.tablerequests import create_request, setting_requests

COMMENTED = [name for name in FORMATS if name != "json"]


def exported(definitions: list[TableDefinition], output_format: str, **changes: Any) -> str:
    return export_tables(
        definitions, output_format, **({"command": "migrator table export", "alarms": False} | changes)
    )


def test_json_holds_the_requests_that_table_create_makes(tmp_path: Path) -> None:
    definitions = defined(tmp_path, EVERYTHING, SILENT)
    assert json.loads(exported(definitions, "json")) == {
        "tables": [{"CreateTable": create_request(each), **setting_requests(each)} for each in definitions]
    }


def test_the_service_s_model_takes_every_request(tmp_path: Path) -> None:
    session = botocore.session.get_session()
    model = session.get_service_model("dynamodb")
    for table in json.loads(exported(defined(tmp_path, EVERYTHING, SILENT), "json"))["tables"]:
        for operation, request in table.items():
            report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
            assert not report.has_errors(), report.generate_report()


def test_json_has_no_place_for_alarms(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no requests to DynamoDB"):
        exported(defined(tmp_path, SILENT), "json", alarms=True)


@pytest.mark.parametrize("output_format", COMMENTED)
def test_the_comment_at_the_top_says_how_to_write_it_again(output_format: str, tmp_path: Path) -> None:
    command = f"migrator table export plan.yaml --format {output_format}"
    assert f"\n#   {command}\n" in exported(defined(tmp_path, SILENT), output_format, command=command)


@pytest.mark.parametrize("output_format", COMMENTED)
def test_a_command_of_two_lines_stays_a_comment(output_format: str, tmp_path: Path) -> None:
    text = exported(defined(tmp_path, SILENT), output_format, command="migrator table export 'a\nb'")
    assert "\n#   b'\n" in text


@pytest.mark.parametrize("output_format", list(FORMATS))
def test_the_same_definitions_give_the_same_text(output_format: str, tmp_path: Path) -> None:
    definitions = defined(tmp_path, EVERYTHING, SILENT)
    assert exported(definitions, output_format) == exported(definitions, output_format)


def test_the_command_line_offers_every_format() -> None:
    option = next(each for each in export_definitions.params if each.name == "output_format")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(FORMATS)


def test_neither_the_source_nor_a_target_is_needed(tmp_path: Path) -> None:
    defined(tmp_path, SILENT)
    plan = tmp_path / "plan.yaml"
    endpoint = "{endpoint_url: http://127.0.0.1:1}"
    plan.write_text(
        f"version: 1\nname: sessions\nsource: missing.sqlite\nmappings: [mapping_0.yaml]\ntarget: {endpoint}\n"
    )
    command = ["table", "export", str(plan), "--format", "terraform", "-o", str(tmp_path / "main.tf")]
    done = subprocess.run([sys.executable, "-m", "migrator", *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert 'resource "aws_dynamodb_table" "sessions" {' in (tmp_path / "main.tf").read_text()
