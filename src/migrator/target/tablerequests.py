"""The requests that make a table what its definition says: data only, nothing is sent from here.

`create_request` and `setting_requests` are the whole of a new table; creating it and exporting it both read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from migrator.mapping.model import AWS_MANAGED, AWS_OWNED, Capacity, IndexDefinition, TableDefinition

Request = dict[str, Any]


def create_request(definition: TableDefinition) -> Request:
    """The parameters of CreateTable; what it has no parameter for is in `setting_requests`.

    >>> from migrator.mapping.model import KeyAttribute
    >>> create_request(TableDefinition("orders", KeyAttribute("id", "N")))["KeySchema"]
    [{'AttributeName': 'id', 'KeyType': 'HASH'}]
    """
    request: Request = {
        "TableName": definition.name,
        "AttributeDefinitions": _attribute_definitions(definition),
        "KeySchema": _key_schema(definition),
        **_billing(definition.capacity),
    }
    optional = {
        "GlobalSecondaryIndexes": [_global_index(index, definition) for index in definition.global_indexes],
        "LocalSecondaryIndexes": [_index(index) for index in definition.local_indexes],
        "WarmThroughput": definition.warm_throughput and _warm(definition.warm_throughput),
        "SSESpecification": _encryption(definition.encryption),
        "StreamSpecification": definition.stream and _stream(definition.stream),
        "TableClass": definition.table_class,
        "DeletionProtectionEnabled": definition.deletion_protection,
        "Tags": _tags(definition.tags),
    }
    return request | {name: value for name, value in optional.items() if value not in (None, [])}


def setting_requests(definition: TableDefinition) -> dict[str, Request]:
    """What CreateTable has no parameter for: operation -> parameters, in the order they are applied.

    >>> from migrator.mapping.model import KeyAttribute
    >>> list(setting_requests(TableDefinition("orders", KeyAttribute("id"), time_to_live="ttl")))
    ['UpdateTimeToLive']
    """
    return {change.operation: change.parameters for change in _changes(definition, _OWN_OPERATIONS)}


#: "TableCreationParameters" — API reference: what ImportTable can make of a table. Local indexes are not among it.
_IMPORTED = (
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "SSESpecification",
    "GlobalSecondaryIndexes",
)


def import_request(definition: TableDefinition, bucket: str, prefix: str, token: str) -> Request:
    """The parameters of ImportTable, for files of compressed DynamoDB JSON; what it has none for
    is in `changes` and `imported_changes`.

    Asked again with the same `token` it begins no second import.
    """
    created = create_request(definition)
    return {
        "ClientToken": token,
        "S3BucketSource": {"S3Bucket": bucket, "S3KeyPrefix": prefix},
        "InputFormat": "DYNAMODB_JSON",
        "InputCompressionType": "GZIP",
        "TableCreationParameters": {name: created[name] for name in _IMPORTED if name in created},
    }


# ---- for a table that is there


class Change(Struct, frozen=True):
    """A request that switches one setting on. `path` is that of `tablewords`."""

    path: str
    operation: str
    parameters: Request


def changes(definition: TableDefinition, arn: str | None) -> list[Change]:
    """Everything the definition asks for that a table which is there can still be given, indexes aside."""
    tags = {"ResourceArn": arn, "Tags": _tags(definition.tags)}
    return [
        *_changes(definition, _OWN_OPERATIONS),
        *([Change("tags", "TagResource", tags)] if definition.tags and arn else []),
        *_changes(definition, _TABLE_UPDATES),
    ]


def imported_changes(definition: TableDefinition) -> list[Change]:
    """What ImportTable has no parameter for and CreateTable has: of a table that is in use it would be its owner's."""
    return list(_changes(definition, _IMPORTED_UPDATES))


#: (path, which is also a field of TableDefinition; operation; from that field, the parameters beside the table's name)
_Setting = tuple[str, str, Callable[[Any], Request]]

_OWN_OPERATIONS: tuple[_Setting, ...] = (
    (
        "time_to_live",
        "UpdateTimeToLive",
        lambda attribute: {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": attribute}},
    ),
    (
        "point_in_time_recovery",
        "UpdateContinuousBackups",
        lambda _: {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
    ),
    ("contributor_insights", "UpdateContributorInsights", lambda _: {"ContributorInsightsAction": "ENABLE"}),
)

#: UpdateTable takes one such change a request.
_TABLE_UPDATES: tuple[_Setting, ...] = (
    ("deletion_protection", "UpdateTable", lambda _: {"DeletionProtectionEnabled": True}),
    ("stream", "UpdateTable", lambda view: {"StreamSpecification": _stream(view)}),
)

_IMPORTED_UPDATES: tuple[_Setting, ...] = (
    ("table_class", "UpdateTable", lambda table_class: {"TableClass": table_class}),
    ("warm_throughput", "UpdateTable", lambda units: {"WarmThroughput": _warm(units)}),
)


def _changes(definition: TableDefinition, settings: Iterable[_Setting]) -> Iterator[Change]:
    for path, operation, parameters in settings:
        if value := getattr(definition, path):
            yield Change(path, operation, {"TableName": definition.name, **parameters(value)})


def new_index(definition: TableDefinition, index: IndexDefinition, declared: Iterable[str]) -> Change:
    """One new global index, as UpdateTable takes them; `declared` names the attributes that the table declares."""
    wanted = {key.name for key in (*definition.key_attributes, *index.key_attributes)} | set(declared)
    attributes = [each for each in _attribute_definitions(definition) if each["AttributeName"] in wanted]
    return Change(
        f"global_indexes.{index.name}",
        "UpdateTable",
        {
            "TableName": definition.name,
            "AttributeDefinitions": attributes,
            "GlobalSecondaryIndexUpdates": [{"Create": _global_index(index, definition)}],
        },
    )


# ---- their parts


def _tags(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags]


def _attribute_definitions(definition: TableDefinition) -> list[dict[str, str]]:
    own = {key.name: key.type for key in definition.key_attributes}
    return [
        {"AttributeName": name, "AttributeType": kind} for name, kind in (own | definition.index_key_types()).items()
    ]


def _key_schema(keyed: TableDefinition | IndexDefinition) -> list[dict[str, str]]:
    kinds = zip(keyed.key_attributes, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": key.name, "KeyType": kind} for key, kind in kinds]


def _warm(units: Capacity) -> Request:
    return {"ReadUnitsPerSecond": units.read, "WriteUnitsPerSecond": units.write}


def _throughput(capacity: Capacity) -> Request:
    return {"ProvisionedThroughput": {"ReadCapacityUnits": capacity.read, "WriteCapacityUnits": capacity.write}}


def _billing(capacity: Capacity | None) -> Request:
    if capacity is None:
        return {"BillingMode": "PAY_PER_REQUEST"}
    return {"BillingMode": "PROVISIONED", **_throughput(capacity)}


def _index(index: IndexDefinition) -> Request:
    projection: Request = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = list(index.included)
    return {"IndexName": index.name, "KeySchema": _key_schema(index), "Projection": projection}


def _global_index(index: IndexDefinition, definition: TableDefinition) -> Request:
    capacity = definition.index_capacity(index)
    return _index(index) | (_throughput(capacity) if capacity else {})


def _encryption(encryption: str | None) -> Request | None:
    """The key that AWS owns is what a table has without a specification."""
    if encryption in (None, AWS_OWNED):
        return None
    key = {} if encryption == AWS_MANAGED else {"KMSMasterKeyId": encryption}
    return {"Enabled": True, "SSEType": "KMS", **key}


def _stream(view: str) -> Request:
    return {"StreamEnabled": True, "StreamViewType": view}
