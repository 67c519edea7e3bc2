"""Tables as a CloudFormation template.

A table's properties are CreateTable's parameters but for a few names, so they are taken from that very request, and
only what is a parameter of the template, or is called otherwise, is put in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from migrator.mapping.model import IndexDefinition
from migrator.target import export_alarms
from migrator.target.export_alarms import Alarm, throttle_alarms
from migrator.target.export_model import (
    ENCRYPTION_KEY,
    INDEX_KINDS,
    ExportedTable,
    Names,
    Parameter,
    Text,
    all_parameters,
    constant_tags,
    index_names,
    pascal,
)
from migrator.target.export_yaml import Intrinsic, ref, render_yaml
from migrator.target.tablerequests import create_request, setting_requests

_NO_VALUE = ref("AWS::NoValue")
_HAS_ACTIONS = "HasAlarmActions"

_PROPERTIES = (
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "TableClass",
    "TimeToLiveSpecification",
    "PointInTimeRecoverySpecification",
    "SSESpecification",
    "StreamSpecification",
    "WarmThroughput",
    "ContributorInsightsSpecification",
    "DeletionProtectionEnabled",
    "Tags",
)


def to_cloudformation(tables: Sequence[ExportedTable], *, alarms: bool) -> str:
    return render_yaml(_Template(tables).sections(alarms=alarms))


class _Template:
    """Logical ids and what refers to them: letters and digits, unique over parameters and resources."""

    def __init__(self, tables: Sequence[ExportedTable]) -> None:
        self._names = Names("")
        self._tables = tables
        self._parameters: dict[str, dict[str, Any]] = {}
        self._ids: dict[tuple[str, str], str] = {}  #: (parameter, tag key or "") -> id
        for parameter in all_parameters(tables):
            self._declare(parameter)
        self._table_ids = {table.label: self._names.free(f"{pascal(table.label)}Table") for table in tables}

    def sections(self, *, alarms: bool) -> dict[str, Any]:
        resources = {self._table_ids[table.label]: self._table(table) for table in self._tables}
        if alarms:
            resources |= {
                self._names.free(pascal(f"{table.label}_{alarm.label}_alarm")): self._alarm(table, alarm)
                for table in self._tables
                for alarm in throttle_alarms(table)
            }
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": f"DynamoDB tables: {', '.join(table.label for table in self._tables)}"[:1024],
            "Parameters": self._parameters | (_ALARM_PARAMETERS if alarms else {}),
            "Conditions": self._conditions() | (_ALARM_CONDITIONS if alarms else {}),
            "Resources": resources,
            "Outputs": dict(self._outputs()),
        }

    # ---- parameters

    def _declare(self, parameter: Parameter) -> None:
        if not isinstance(parameter.default, tuple):
            self._add(parameter.name, "", pascal(parameter.name), _declaration(parameter))
            return
        # Parameters hold no maps, so each tag is one.
        for key, value in parameter.default:
            name = pascal(f"{parameter.name.removesuffix('tags')}{key}_tag")
            description = f"Value of the tag {key}"
            self._add(parameter.name, key, name, {"Type": "String", "Default": value, "Description": description})

    def _add(self, parameter: str, key: str, name: str, declaration: dict[str, Any]) -> None:
        self._ids[parameter, key] = self._names.free(name)
        self._parameters[self._ids[parameter, key]] = declaration

    def _id(self, parameter: Parameter) -> str:
        return self._ids[parameter.name, ""]

    def _conditions(self) -> dict[str, Any]:
        modes = [self._id(table.parameters["billing_mode"]) for table in self._tables]
        return {_is_provisioned(mode): Intrinsic("Equals", [ref(mode), "PROVISIONED"]) for mode in modes}

    # ---- a table

    def _table(self, table: ExportedTable) -> dict[str, Any]:
        properties = {**create_request(table.definition), **self._renamed(table), **self._parametrized(table)}
        return {
            "Type": "AWS::DynamoDB::Table",
            # The data outlives the stack, but not a creation that failed.
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
            "Properties": {name: properties[name] for name in _PROPERTIES if properties.get(name)},
        }

    def _parametrized(self, table: ExportedTable) -> dict[str, Any]:
        by_index = {index.name: self._throughput(table, index) for index in table.definition.global_indexes}
        return {
            "TableName": self._text(table.text("name", table.definition.name)),
            "BillingMode": self._ref(table, "billing_mode"),
            "ProvisionedThroughput": self._throughput(table),
            "GlobalSecondaryIndexes": [
                index | {"ProvisionedThroughput": by_index[index["IndexName"]]}
                for index in create_request(table.definition).get("GlobalSecondaryIndexes", ())
            ],
            "TableClass": self._ref(table, "table_class"),
            "PointInTimeRecoverySpecification": {
                "PointInTimeRecoveryEnabled": self._ref(table, "enable_point_in_time_recovery")
            },
            "DeletionProtectionEnabled": self._ref(table, "enable_deletion_protection"),
            "Tags": self._tags(table),
        }

    def _tags(self, table: ExportedTable) -> list[dict[str, Any]]:
        parameter = table.parameters["tags"].name
        constant = {key: ref(self._ids[parameter, key]) for key, _ in constant_tags(table.definition)}
        texts = {key: self._text(text) for key, text in table.tag_texts().items()}
        return [{"Key": key, "Value": value} for key, value in (constant | texts).items()]

    def _renamed(self, table: ExportedTable) -> dict[str, Any]:
        """What CloudFormation calls otherwise than the API."""
        request, settings = create_request(table.definition), setting_requests(table.definition)
        renamed: dict[str, Any] = {}
        if "UpdateTimeToLive" in settings:
            renamed["TimeToLiveSpecification"] = settings["UpdateTimeToLive"]["TimeToLiveSpecification"]
        if "UpdateContributorInsights" in settings:
            renamed["ContributorInsightsSpecification"] = {"Enabled": True}
        if "StreamSpecification" in request:
            renamed["StreamSpecification"] = {"StreamViewType": request["StreamSpecification"]["StreamViewType"]}
        if encryption := request.get("SSESpecification"):
            key = encryption.get("KMSMasterKeyId")
            renamed["SSESpecification"] = {"SSEEnabled": True, "SSEType": encryption["SSEType"]} | (
                {"KMSMasterKeyId": self._text(table.text(ENCRYPTION_KEY, key))} if key else {}
            )
        return renamed

    def _throughput(self, table: ExportedTable, index: IndexDefinition | None = None) -> Intrinsic:
        read, write = table.capacity_parameters(index)
        units = {"ReadCapacityUnits": ref(self._id(read)), "WriteCapacityUnits": ref(self._id(write))}
        condition = _is_provisioned(self._id(table.parameters["billing_mode"]))
        return Intrinsic("If", [condition, units, _NO_VALUE])

    def _ref(self, table: ExportedTable, parameter: str) -> Intrinsic:
        return ref(self._id(table.parameters[parameter]))

    def _text(self, text: Text) -> str | Intrinsic:
        if not any(isinstance(part, Parameter) for part in text):
            return "".join(map(str, text))
        if len(text) == 1 and isinstance(text[0], Parameter):
            return ref(self._id(text[0]))
        # ${! is how !Sub writes a literal ${.
        parts = (
            f"${{{self._id(part)}}}" if isinstance(part, Parameter) else part.replace("${", "${!") for part in text
        )
        return Intrinsic("Sub", "".join(parts))

    # ---- alarms and outputs

    def _alarm(self, table: ExportedTable, alarm: Alarm) -> dict[str, Any]:
        resource = self._table_ids[table.label]
        dimensions = [{"Name": "TableName", "Value": ref(resource)}]
        if alarm.index:
            dimensions.append({"Name": "GlobalSecondaryIndexName", "Value": alarm.index})
        return {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": Intrinsic("Sub", f"${{{resource}}}-{alarm.name}"),
                "AlarmDescription": alarm.description,
                "Namespace": export_alarms.NAMESPACE,
                "MetricName": alarm.metric,
                "Dimensions": dimensions,
                "Statistic": export_alarms.STATISTIC,
                "Period": export_alarms.PERIOD_S,
                "EvaluationPeriods": export_alarms.PERIODS,
                "ComparisonOperator": export_alarms.COMPARISON,
                "Threshold": export_alarms.THRESHOLD,
                "TreatMissingData": export_alarms.MISSING_DATA,
                "AlarmActions": Intrinsic("If", [_HAS_ACTIONS, ref("AlarmActions"), _NO_VALUE]),
            },
        }

    def _outputs(self) -> Iterator[tuple[str, Any]]:
        for table in self._tables:
            resource, definition = self._table_ids[table.label], table.definition
            yield _exported(f"{resource}Name", f"Name of the table {table.label}", ref(resource))
            yield _exported(f"{resource}Arn", f"ARN of the table {table.label}", _attribute(resource, "Arn"))
            if definition.stream:
                arn = _attribute(resource, "StreamArn")
                yield _exported(f"{resource}StreamArn", f"ARN of the stream of the table {table.label}", arn)
            for kind, names in index_names(definition).items():
                what = f"{INDEX_KINDS[kind]} of the table {table.label}"
                yield _exported(f"{resource}{pascal(kind)}Names", what, ",".join(names))
        ids = list(self._table_ids.values())
        yield _exported("TableNames", "Names of all tables", _joined([ref(each) for each in ids]))
        yield _exported("TableArns", "ARNs of all tables", _joined([_attribute(each, "Arn") for each in ids]))


_ALARM_PARAMETERS: dict[str, Any] = {
    "AlarmActions": {
        "Type": "CommaDelimitedList",
        "Default": "",
        "Description": "ARNs of what an alarm notifies, such as SNS topics",
    }
}
_ALARM_CONDITIONS: dict[str, Any] = {
    _HAS_ACTIONS: Intrinsic("Not", [Intrinsic("Equals", [Intrinsic("Join", ["", ref("AlarmActions")]), ""])])
}


def _declaration(parameter: Parameter) -> dict[str, Any]:
    described = {"Description": parameter.description}
    match parameter.default:
        case bool(default):
            return {"Type": "String", "Default": str(default).lower(), "AllowedValues": ["true", "false"]} | described
        case int(default):
            return {"Type": "Number", "Default": default, "MinValue": 1} | described
        case default:
            allowed = {"AllowedValues": list(parameter.allowed)} if parameter.allowed else {}
            return {"Type": "String", "Default": default} | allowed | described


def _is_provisioned(billing_mode: str) -> str:
    return f"{billing_mode}IsProvisioned"


def _attribute(resource: str, name: str) -> Intrinsic:
    return Intrinsic("GetAtt", f"{resource}.{name}")


def _joined(values: list[Intrinsic]) -> Intrinsic:
    return Intrinsic("Join", [",", values])


def _exported(name: str, description: str, value: Any) -> tuple[str, dict[str, Any]]:
    export = {"Name": Intrinsic("Sub", f"${{AWS::StackName}}-{name}")}
    return name, {"Description": description, "Value": value, "Export": export}
