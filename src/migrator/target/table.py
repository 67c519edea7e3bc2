"""Tables from definitions: create, wait, apply what can only be switched on afterwards.

Applying reads before it writes, so doing it twice changes nothing; it adds what is missing and takes nothing away:
billing, encryption and table class of a table that exists are its owner's, and `compare` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from migrator.errors import TargetError
from migrator.mapping.model import Capacity, IndexDefinition, TableDefinition
from migrator.target.backoff import REAL_TIME, Patience, RetryPolicy, Timing, ask, pause
from migrator.target.faults import Verdict
from migrator.target.tablecheck import Difference, compare, fatal_differences, mismatch_error
from migrator.target.tablefound import (
    LACKING,
    ask_optional,
    describe,
    found_insights,
    found_recovery,
    found_settings,
    found_tags,
    found_time_to_live,
)
from migrator.target.tablewords import expected_settings

__all__ = [
    "Difference",
    "apply_settings",
    "compare",
    "create_request",
    "create_table",
    "describe",
    "fatal_differences",
    "mismatch_error",
    "show_text",
]

_CREATED = RetryPolicy(max_attempts=10_000, give_up_after_s=600.0, first_delay_s=0.05, longest_delay_s=2.0)
# A new index is filled from what the table holds, which takes its time.
_INDEXED = RetryPolicy(max_attempts=100_000, give_up_after_s=6 * 3600.0, first_delay_s=0.1, longest_delay_s=10.0)


# ---- the request


def create_request(definition: TableDefinition) -> dict[str, Any]:
    """The parameters of CreateTable; what it has no parameter for, `apply_settings` does.

    >>> from migrator.mapping.model import KeyAttribute
    >>> create_request(TableDefinition("orders", KeyAttribute("id", "N")))["KeySchema"]
    [{'AttributeName': 'id', 'KeyType': 'HASH'}]
    """
    request: dict[str, Any] = {
        "TableName": definition.name,
        "AttributeDefinitions": _attribute_definitions(definition),
        "KeySchema": _key_schema(definition),
        **_billing(definition.capacity),
    }
    optional = {
        "GlobalSecondaryIndexes": [_global_index(index, definition) for index in definition.global_indexes],
        "LocalSecondaryIndexes": [_index(index) for index in definition.local_indexes],
        "WarmThroughput": definition.warm_throughput
        and {
            "ReadUnitsPerSecond": definition.warm_throughput.read,
            "WriteUnitsPerSecond": definition.warm_throughput.write,
        },
        "SSESpecification": definition.kms_key
        and {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": definition.kms_key},
        "StreamSpecification": definition.stream and {"StreamEnabled": True, "StreamViewType": definition.stream},
        "TableClass": definition.table_class,
        "DeletionProtectionEnabled": definition.deletion_protection,
        "Tags": _tags(definition.tags),
    }
    return request | {name: value for name, value in optional.items() if value not in (None, [])}


def _attribute_definitions(definition: TableDefinition) -> list[dict[str, str]]:
    own = {key.name: key.type for key in definition.key_attributes}
    return [
        {"AttributeName": name, "AttributeType": kind} for name, kind in (own | definition.index_key_types()).items()
    ]


def _key_schema(keyed: TableDefinition | IndexDefinition) -> list[dict[str, str]]:
    kinds = zip(keyed.key_attributes, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": key.name, "KeyType": kind} for key, kind in kinds]


def _throughput(capacity: Capacity) -> dict[str, Any]:
    return {"ProvisionedThroughput": {"ReadCapacityUnits": capacity.read, "WriteCapacityUnits": capacity.write}}


def _billing(capacity: Capacity | None) -> dict[str, Any]:
    if capacity is None:
        return {"BillingMode": "PAY_PER_REQUEST"}
    return {"BillingMode": "PROVISIONED", **_throughput(capacity)}


def _index(index: IndexDefinition) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = list(index.included)
    return {"IndexName": index.name, "KeySchema": _key_schema(index), "Projection": projection}


def _global_index(index: IndexDefinition, definition: TableDefinition) -> dict[str, Any]:
    capacity = definition.capacity and (index.capacity or definition.capacity)
    return _index(index) | (_throughput(capacity) if capacity else {})


def _tags(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags]


# ---- create and apply


def create_table(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> list[str]:
    """Make the table be there, with its indexes and settings. Warnings name what the engine lacks."""
    description = describe(client, definition.name, timing=timing)
    if description is None:
        ask(
            lambda: client.create_table(**create_request(definition)),
            f'create table "{definition.name}"',
            accept=("ResourceInUseException",),  # somebody else was faster; the keys are compared below
            timing=timing,
        )
    description = wait_until_active(client, definition.name, timing=timing)
    differences = fatal_differences(definition, description)
    if differences:
        raise mismatch_error(definition, differences)
    _add_missing_indexes(client, definition, description, timing)
    return apply_settings(client, definition, timing=timing)


def wait_until_active(
    client: Any, name: str, *, timing: Timing = REAL_TIME, policy: RetryPolicy = _CREATED
) -> dict[str, Any]:
    """Wait for the table and its indexes. Right after its creation a table may not be found for seconds."""
    patience = Patience(policy, timing.clock)
    while True:
        description = describe(client, name, timing=timing)
        if description is not None and _is_settled(description):
            return description
        delay_s = patience.delay_s(Verdict.THROTTLED)
        if delay_s is None:
            raise TargetError(
                f'table "{name}" is still not ACTIVE\n  look at it in the console, then run again',
                code="table_not_active",
                retryable=True,
            )
        pause(delay_s, timing)


def _is_settled(description: Mapping[str, Any]) -> bool:
    indexes = description.get("GlobalSecondaryIndexes") or ()
    return description.get("TableStatus", "ACTIVE") == "ACTIVE" and all(
        index.get("IndexStatus", "ACTIVE") == "ACTIVE" for index in indexes
    )


def _add_missing_indexes(
    client: Any, definition: TableDefinition, description: Mapping[str, Any], timing: Timing
) -> None:
    """UpdateTable takes one new index at a time."""
    present = {index["IndexName"] for index in description.get("GlobalSecondaryIndexes") or ()}
    for index in definition.global_indexes:
        if index.name in present:
            continue
        keys = {key.name for key in (*definition.key_attributes, *index.key_attributes)}
        known = {each["AttributeName"] for each in description["AttributeDefinitions"]}
        attributes = [each for each in _attribute_definitions(definition) if each["AttributeName"] in (keys | known)]
        _update(
            client,
            definition,
            f"add index {index.name} to",
            timing,
            AttributeDefinitions=attributes,
            GlobalSecondaryIndexUpdates=[{"Create": _global_index(index, definition)}],
        )
        wait_until_active(client, definition.name, timing=timing, policy=_INDEXED)


def _update(client: Any, definition: TableDefinition, doing: str, timing: Timing, **parameters: Any) -> None:
    ask(
        lambda: client.update_table(TableName=definition.name, **parameters),
        f'{doing} table "{definition.name}"',
        timing=timing,
    )


def apply_settings(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> list[str]:
    """Switch on what the definition asks for and the table has not. One warning for each thing the engine lacks."""
    for apply in _APPLIED:
        apply(client, definition, timing)
    return _lacking(client, definition, timing)


def _lacking(client: Any, definition: TableDefinition, timing: Timing) -> list[str]:
    """Read back what was set."""
    description = describe(client, definition.name, timing=timing) or {}
    if not description:
        return []
    found = found_settings(client, definition, description, timing=timing)
    names = dict.fromkeys(path.split(".")[0] for path in expected_settings(definition) if found.get(path) is LACKING)
    return [
        f'table "{definition.name}": this engine has no {name.replace("_", " ")}; going on without it' for name in names
    ]


def _apply_time_to_live(client: Any, definition: TableDefinition, timing: Timing) -> None:
    attribute = definition.time_to_live
    # Enabling it twice is an error, and so is another attribute before the first is disabled: `compare` names that.
    if attribute is None or found_time_to_live(client, definition.name, timing) is not None:
        return
    ask_optional(
        client,
        "update_time_to_live",
        f'enable time to live on table "{definition.name}"',
        timing,
        TableName=definition.name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute},
    )


def _apply_recovery(client: Any, definition: TableDefinition, timing: Timing) -> None:
    if not definition.point_in_time_recovery or found_recovery(client, definition.name, timing) is not False:
        return
    ask_optional(
        client,
        "update_continuous_backups",
        f'enable point-in-time recovery on table "{definition.name}"',
        timing,
        TableName=definition.name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )


def _apply_insights(client: Any, definition: TableDefinition, timing: Timing) -> None:
    if not definition.contributor_insights or found_insights(client, definition.name, timing) is not False:
        return
    ask_optional(
        client,
        "update_contributor_insights",
        f'enable contributor insights on table "{definition.name}"',
        timing,
        TableName=definition.name,
        ContributorInsightsAction="ENABLE",
    )


def _apply_tags(client: Any, definition: TableDefinition, timing: Timing) -> None:
    description = (describe(client, definition.name, timing=timing) or {}) if definition.tags else {}
    tags = found_tags(client, description, timing)
    missing = [] if tags is None else [(name, value) for name, value in definition.tags if tags.get(name) != value]
    if missing:
        ask_optional(
            client,
            "tag_resource",
            f'tag table "{definition.name}"',
            timing,
            ResourceArn=description["TableArn"],
            Tags=_tags(missing),
        )


def _apply_updates(client: Any, definition: TableDefinition, timing: Timing) -> None:
    """Deletion protection and a stream, where there is none: UpdateTable, one a request."""
    if not definition.deletion_protection and not definition.stream:
        return
    description = describe(client, definition.name, timing=timing) or {}
    if definition.deletion_protection and description.get("DeletionProtectionEnabled") is False:
        _update(client, definition, "protect", timing, DeletionProtectionEnabled=True)
        wait_until_active(client, definition.name, timing=timing)
    if definition.stream and not (description.get("StreamSpecification") or {}).get("StreamEnabled"):
        stream = {"StreamEnabled": True, "StreamViewType": definition.stream}
        _update(client, definition, "enable the stream of", timing, StreamSpecification=stream)
        wait_until_active(client, definition.name, timing=timing)


_APPLIED: tuple[Callable[[Any, TableDefinition, Timing], None], ...] = (
    _apply_time_to_live,
    _apply_recovery,
    _apply_insights,
    _apply_tags,
    _apply_updates,
)


# ---- show


def show_text(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> str:
    """The table as it is, for a person, with what differs from the definition."""
    description = describe(client, definition.name, timing=timing)
    if description is None:
        return f'table "{definition.name}" does not exist\n'
    schema = {each["KeyType"]: each["AttributeName"] for each in description["KeySchema"]}
    lines = {
        "status": description.get("TableStatus"),
        "partition_key": schema["HASH"],
        "sort_key": schema.get("RANGE", "none"),
        **found_settings(client, definition, description, timing=timing),
        # The service counts about every six hours.
        "items": f"about {description.get('ItemCount', 0)}",
        "arn": description.get("TableArn", "none"),
    }
    body = [
        f"  {name}: {'not known to this engine' if value is LACKING else value}"
        for name, value in lines.items()
        if value is not None
    ]
    differences = [f"  differs: {each}" for each in compare(client, definition, timing=timing)]
    return "\n".join((f'table "{definition.name}"', *body, *differences)) + "\n"
