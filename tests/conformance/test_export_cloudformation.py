"""The CloudFormation template: cfn-lint finds nothing, and a stack made from it has the tables that were defined.

moto's CloudFormation stands in for the service. It forgets some of a table's properties, which are looked for in the
template instead, and it hands parameters on as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import ManualArgs, lint
from cfnlint.decode import decode_str
from moto import mock_aws
from msgspec.structs import replace

from export_definitions import EVERYTHING, SHIPPED, SILENT, defined
from migrator.mapping.document import load_mapping
from migrator.mapping.model import Capacity, TableDefinition
from migrator.target.export import export_tables
from migrator.target.export_model import pascal, variable_name
from migrator.target.table import compare
from migrator.yamlfile import Variable

#: moto's `Table.create_from_cloudformation_json` passes none of these on; of encryption it looks for the API's words.
FORGOTTEN = {"time_to_live", "point_in_time_recovery", "contributor_insights", "table_class", "encryption"}
PROPERTIES = {
    "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"},
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": {"Ref": "EnablePointInTimeRecovery"}},
    "ContributorInsightsSpecification": {"Enabled": True},
    "TableClass": {"Ref": "TableClass"},
    "SSESpecification": {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": {"Fn::Sub": "alias/${Stage}-orders"},
    },
    "DeletionProtectionEnabled": {"Ref": "EnableDeletionProtection"},
}


def exported(*definitions: TableDefinition, alarms: bool = False) -> str:
    return export_tables(definitions, "cloudformation", command="migrator table export …", alarms=alarms)


def decoded(text: str) -> dict[str, Any]:
    template, problems = decode_str(text)
    assert problems == []
    return dict(template)


def resources(*definitions: TableDefinition, alarms: bool = False) -> dict[str, Any]:
    return dict(decoded(exported(*definitions, alarms=alarms))["Resources"])


def findings(text: str) -> list[str]:
    """Give what cfn-lint says unless it is asked for more: errors and warnings, in the region of every service."""
    return [str(match) for match in lint(text, config=ManualArgs(regions=["us-east-1"]))]


@pytest.fixture
def aws() -> Iterator[Any]:
    """Give a function that makes a client of the pretended account."""
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="us-east-1")


@pytest.fixture
def created(aws: Any) -> Any:
    def create(template: str, **parameters: str) -> dict[str, str]:
        """Make a stack and give its outputs."""
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        client = aws("cloudformation")
        client.create_stack(StackName="tables", TemplateBody=template, Parameters=given)
        stack = client.describe_stacks(StackName="tables")["Stacks"][0]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    return create


def differences(client: Any, definition: TableDefinition) -> set[str]:
    found = compare(client, definition)
    as_text = {each.path for each in found if str(each.expected).lower() == each.found}
    return {each.path for each in found} - FORGOTTEN - as_text


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_cfn_lint_finds_nothing_in_what_ships(path: Path) -> None:
    assert findings(exported(load_mapping(path).table, alarms=True)) == []


def test_cfn_lint_finds_nothing_where_everything_is_said(tmp_path: Path) -> None:
    assert findings(exported(*defined(tmp_path, EVERYTHING, SILENT), alarms=True)) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_stack_has_the_table_that_the_mapping_defines(path: Path, aws: Any, created: Any) -> None:
    definition = load_mapping(path).table
    created(exported(definition))
    assert differences(aws("dynamodb"), definition) == set()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_stack_for_production_has_the_table_that_the_mapping_defines_there(
    path: Path, aws: Any, created: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    developed = load_mapping(path).table
    variables = [part for part in dict(developed.written.texts)["name"] if isinstance(part, Variable)]
    for variable in variables:
        monkeypatch.setenv(variable.name, "prod")
    created(exported(developed), **{pascal(variable_name(variable)): "prod" for variable in variables})
    definition = load_mapping(path).table
    assert aws("dynamodb").list_tables()["TableNames"] == [definition.name]
    assert "prod" in definition.name
    assert differences(aws("dynamodb"), definition) == set()


def test_a_stack_has_a_table_with_everything(tmp_path: Path, aws: Any, created: Any) -> None:
    (definition,) = defined(tmp_path, EVERYTHING)
    created(exported(definition))
    assert differences(aws("dynamodb"), definition) == set()


def test_another_environment_has_a_table_of_another_name(tmp_path: Path, aws: Any, created: Any) -> None:
    (definition,) = defined(tmp_path, EVERYTHING)
    created(exported(definition), Stage="prod")
    tags = tuple((name, value.replace("dev", "prod")) for name, value in definition.tags)
    assert aws("dynamodb").list_tables()["TableNames"] == ["prod-OrderHistory"]
    assert differences(aws("dynamodb"), replace(definition, name="prod-OrderHistory", tags=tags)) == set()


def test_a_table_on_demand_can_be_provisioned(tmp_path: Path, aws: Any, created: Any) -> None:
    (definition,) = defined(tmp_path, f"{SILENT}  global_indexes: {{ByOwner: {{partition_key: owner}}}}\n")
    created(exported(definition), BillingMode="PROVISIONED", ReadCapacity="6", WriteCapacity="9")
    assert differences(aws("dynamodb"), replace(definition, capacity=Capacity(6, 9))) == set()


def test_a_provisioned_table_can_be_put_on_demand(tmp_path: Path, aws: Any, created: Any) -> None:
    (definition,) = defined(tmp_path, EVERYTHING)
    created(exported(definition), BillingMode="PAY_PER_REQUEST")
    assert differences(aws("dynamodb"), replace(definition, capacity=None)) == set()


def test_an_index_has_the_capacity_of_its_own(tmp_path: Path, aws: Any, created: Any) -> None:
    (definition,) = defined(tmp_path, EVERYTHING)
    created(exported(definition))
    description = aws("dynamodb").describe_table(TableName=definition.name)["Table"]
    units = {index["IndexName"]: index["ProvisionedThroughput"] for index in description["GlobalSecondaryIndexes"]}
    assert [(each["ReadCapacityUnits"], each["WriteCapacityUnits"]) for each in units.values()] == [(7, 8), (3, 4)]


@pytest.mark.parametrize(("name", "value"), PROPERTIES.items(), ids=list(PROPERTIES))
def test_what_moto_forgets_stands_in_the_template(name: str, value: Any, tmp_path: Path) -> None:
    assert resources(*defined(tmp_path, EVERYTHING))["OrderHistoryTable"]["Properties"][name] == value


def test_the_data_outlives_the_stack(tmp_path: Path) -> None:
    table = resources(*defined(tmp_path, SILENT))["SessionsTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_outputs_name_the_tables(tmp_path: Path, created: Any) -> None:
    outputs = created(exported(*defined(tmp_path, EVERYTHING, SILENT)))
    assert outputs["OrderHistoryTableName"] == "dev-OrderHistory"
    assert outputs["OrderHistoryTableArn"].endswith(":table/dev-OrderHistory")
    assert "/stream/" in outputs["OrderHistoryTableStreamArn"]
    assert outputs["OrderHistoryTableGsiNames"] == "by-owner,ByState"
    assert outputs["OrderHistoryTableLsiNames"] == "by-total"
    assert outputs["TableNames"] == "dev-OrderHistory,sessions"
    assert "SessionsTableStreamArn" not in outputs


def test_an_alarm_watches_the_writes_of_an_index(tmp_path: Path) -> None:
    found = resources(*defined(tmp_path, EVERYTHING), alarms=True)["OrderHistoryByOwnerWriteThrottleAlarm"]
    assert found["Properties"] == {
        "AlarmName": {"Fn::Sub": "${OrderHistoryTable}-by-owner-write-throttle"},
        "AlarmDescription": "Writes of the index by-owner of the table order_history are throttled",
        "Namespace": "AWS/DynamoDB",
        "MetricName": "WriteThrottleEvents",
        "Dimensions": [
            {"Name": "TableName", "Value": {"Ref": "OrderHistoryTable"}},
            {"Name": "GlobalSecondaryIndexName", "Value": "by-owner"},
        ],
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 2,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
        "AlarmActions": {"Fn::If": ["HasAlarmActions", {"Ref": "AlarmActions"}, {"Ref": "AWS::NoValue"}]},
    }


def test_reads_and_writes_of_the_table_and_of_each_global_index_have_an_alarm(tmp_path: Path) -> None:
    names = [name for name in resources(*defined(tmp_path, EVERYTHING), alarms=True) if name.endswith("Alarm")]
    assert names == [
        f"OrderHistory{index}{kind}ThrottleAlarm" for index in ("", "ByOwner", "ByState") for kind in ("Read", "Write")
    ]


def test_whom_alarms_notify_is_a_parameter_that_is_empty_at_first(tmp_path: Path) -> None:
    parameters = decoded(exported(*defined(tmp_path, SILENT), alarms=True))["Parameters"]
    assert parameters["AlarmActions"]["Default"] == ""
