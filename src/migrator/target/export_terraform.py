"""Tables as a Terraform module: variables, resources and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from migrator.mapping.model import IndexDefinition, TableDefinition
from migrator.target import export_alarms
from migrator.target.export_alarms import Alarm, throttle_alarms
from migrator.target.export_hcl import Argument, Block, Call, Expression, Template, Value, render_blocks
from migrator.target.export_model import (
    ENCRYPTION_KEY,
    INDEX_KINDS,
    ExportedTable,
    Names,
    Parameter,
    Text,
    all_parameters,
    index_names,
)
from migrator.target.tablerequests import create_request

# https://github.com/hashicorp/terraform-provider-aws/blob/main/CHANGELOG.md: 6.13.0 brought warm_throughput.
_PROVIDER, _PROVIDER_WITH_WARM_THROUGHPUT = ">= 5.0", ">= 6.13"


def to_terraform(tables: Sequence[ExportedTable], *, alarms: bool) -> str:
    return render_blocks(
        [
            _requirements(tables),
            *(_variable(parameter) for parameter in all_parameters(tables)),
            *([_ALARM_ACTIONS] if alarms else []),
            *chain.from_iterable(_resources(table) for table in tables),
            *(_alarms(tables) if alarms else []),
            *chain.from_iterable(_outputs(table) for table in tables),
            _combined("table_names", "Names of all tables", tables, "name"),
            _combined("table_arns", "ARNs of all tables", tables, "arn"),
        ]
    )


def _requirements(tables: Iterable[ExportedTable]) -> Block:
    warm = any(table.definition.warm_throughput for table in tables)
    version = _PROVIDER_WITH_WARM_THROUGHPUT if warm else _PROVIDER
    providers = Block("required_providers", (), [("aws", {"source": "hashicorp/aws", "version": version})])
    return Block("terraform", (), [providers])


# ---- variables

_ALARM_ACTIONS = Block(
    "variable",
    ("alarm_actions",),
    [
        ("description", "ARNs of what an alarm notifies, such as SNS topics"),
        ("type", Expression("list(string)")),
        ("default", ()),
    ],
)


def _variable(parameter: Parameter) -> Block:
    kind, default = _typed(parameter)
    body: list[Argument | Block] = [
        ("description", parameter.description),
        ("type", Expression(kind)),
        ("default", default),
    ]
    this = Expression(f"var.{parameter.name}")
    if parameter.allowed:
        message = f"Must be {' or '.join(parameter.allowed)}."
        body.append(_validation(Call("contains", (parameter.allowed, this)), message))
    elif kind == "number":
        body.append(_validation(Expression(f"{this.text} >= 1"), "Must be at least 1."))
    return Block("variable", (parameter.name,), body)


def _typed(parameter: Parameter) -> tuple[str, Value]:
    match parameter.default:
        case bool(default):
            return "bool", default
        case int(default):
            return "number", default
        case str(default):
            return "string", default
        case default:
            return "map(string)", dict(default)


def _validation(condition: Value, message: str) -> Block:
    return Block("validation", (), [("condition", condition), ("error_message", message)])


# ---- a table


def _resources(table: ExportedTable) -> Iterator[Block]:
    definition = table.definition
    if _kms_key(table):
        # The resource takes ARNs only, and a mapping may name a key by its alias.
        yield Block(
            "data", ("aws_kms_key", table.label), [("key_id", _text(table.text(ENCRYPTION_KEY, _kms_key(table))))]
        )
    yield Block("resource", ("aws_dynamodb_table", table.label), list(_table(table)))
    if definition.contributor_insights:
        name = [("table_name", _attribute(table, "name"))]
        yield Block("resource", ("aws_dynamodb_contributor_insights", table.label), name)


def _table(table: ExportedTable) -> Iterator[Argument | Block]:
    definition = table.definition
    yield "name", _text(table.text("name", definition.name))
    yield "billing_mode", _var(table, "billing_mode")
    yield from _capacity(table)
    yield "table_class", _var(table, "table_class")
    yield "hash_key", definition.partition_key.name
    yield "range_key", _sort_key(definition)
    yield "stream_enabled", bool(definition.stream) or None
    yield "stream_view_type", definition.stream
    yield "deletion_protection_enabled", _var(table, "enable_deletion_protection")
    for attribute in create_request(definition)["AttributeDefinitions"]:
        yield Block("attribute", (), [("name", attribute["AttributeName"]), ("type", attribute["AttributeType"])])
    for index in definition.global_indexes:
        keys = [("hash_key", index.partition_key.name)]
        yield Block("global_secondary_index", (), [*_index(index, keys), *_capacity(table, index)])
    for index in definition.local_indexes:
        yield Block("local_secondary_index", (), _index(index, []))
    if definition.time_to_live:
        yield Block("ttl", (), [("attribute_name", definition.time_to_live), ("enabled", True)])
    yield Block("point_in_time_recovery", (), [("enabled", _var(table, "enable_point_in_time_recovery"))])
    if "SSESpecification" in create_request(definition):
        key = Expression(f"data.aws_kms_key.{table.label}.arn") if _kms_key(table) else None
        yield Block("server_side_encryption", (), [("enabled", True), ("kms_key_arn", key)])
    if warm := definition.warm_throughput:
        units = [("read_units_per_second", warm.read), ("write_units_per_second", warm.write)]
        yield Block("warm_throughput", (), units)
    yield "tags", _tags(table)


def _index(index: IndexDefinition, partition_key: list[tuple[str, str]]) -> list[Argument | Block]:
    return [
        ("name", index.name),
        *partition_key,
        ("range_key", _sort_key(index)),
        ("projection_type", index.projection),
        ("non_key_attributes", index.included or None),
    ]


def _sort_key(keyed: TableDefinition | IndexDefinition) -> str | None:
    return keyed.sort_key.name if keyed.sort_key else None


def _capacity(table: ExportedTable, index: IndexDefinition | None = None) -> Iterator[Argument]:
    billing_mode = _var(table, "billing_mode").text
    for name, units in zip(("read_capacity", "write_capacity"), table.capacity_parameters(index), strict=True):
        yield name, Expression(f'{billing_mode} == "PROVISIONED" ? var.{units.name} : null')


def _tags(table: ExportedTable) -> Value:
    tags = _var(table, "tags")
    texts = {key: _text(text) for key, text in table.tag_texts().items()}
    return Call("merge", (texts, tags)) if texts else tags


def _kms_key(table: ExportedTable) -> str:
    key: str = create_request(table.definition).get("SSESpecification", {}).get("KMSMasterKeyId", "")
    return key


def _text(text: Text) -> Value:
    if len(text) == 1 and isinstance(text[0], Parameter):
        return Expression(f"var.{text[0].name}")
    return Template(tuple(part if isinstance(part, str) else Expression(f"var.{part.name}") for part in text))


def _var(table: ExportedTable, parameter: str) -> Expression:
    return Expression(f"var.{table.parameters[parameter].name}")


def _attribute(table: ExportedTable, name: str) -> Expression:
    return Expression(f"aws_dynamodb_table.{table.label}.{name}")


# ---- alarms and outputs


def _alarms(tables: Iterable[ExportedTable]) -> Iterator[Block]:
    names = Names()
    for table in tables:
        for alarm in throttle_alarms(table):
            label = names.free(f"{table.label}_{alarm.label}")
            yield Block("resource", ("aws_cloudwatch_metric_alarm", label), _alarm(table, alarm))


def _alarm(table: ExportedTable, alarm: Alarm) -> list[Argument | Block]:
    name = _attribute(table, "name")
    dimensions: Mapping[str, Value] = {"TableName": name}
    return [
        ("alarm_name", Template((name, f"-{alarm.name}"))),
        ("alarm_description", alarm.description),
        ("namespace", export_alarms.NAMESPACE),
        ("metric_name", alarm.metric),
        ("statistic", export_alarms.STATISTIC),
        ("period", export_alarms.PERIOD_S),
        ("evaluation_periods", export_alarms.PERIODS),
        ("comparison_operator", export_alarms.COMPARISON),
        ("threshold", export_alarms.THRESHOLD),
        ("treat_missing_data", export_alarms.MISSING_DATA),
        ("alarm_actions", Expression("var.alarm_actions")),
        ("tags", _attribute(table, "tags")),
        ("dimensions", {**dimensions, **({"GlobalSecondaryIndexName": alarm.index} if alarm.index else {})}),
    ]


def _outputs(table: ExportedTable) -> Iterator[Block]:
    label, definition = table.label, table.definition
    yield _output(f"{label}_table_name", f"Name of the table {label}", _attribute(table, "name"))
    yield _output(f"{label}_table_arn", f"ARN of the table {label}", _attribute(table, "arn"))
    if definition.stream:
        what = f"ARN of the stream of the table {label}"
        yield _output(f"{label}_table_stream_arn", what, _attribute(table, "stream_arn"))
    for kind, names in index_names(definition).items():
        yield _output(f"{label}_{kind}_names", f"{INDEX_KINDS[kind]} of the table {label}", names)


def _combined(name: str, description: str, tables: Iterable[ExportedTable], attribute: str) -> Block:
    return _output(name, description, {table.label: _attribute(table, attribute) for table in tables})


def _output(name: str, description: str, value: Value) -> Block:
    return Block("output", (name,), [("description", description), ("value", value)])
