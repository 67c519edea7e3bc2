"""What a target says of a table, in the words of `tablewords`.

A setting that an engine does not report at all is LACKING: it has no such thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from migrator.errors import TargetError
from migrator.mapping.model import Capacity, TableDefinition
from migrator.target.backoff import BRIEF, REAL_TIME, START, RetryPolicy, Timing, ask
from migrator.target.tablewords import billing, capacity_text, expected_settings

#: How engines say that they do not know an operation. moto's server answers an unknown one with an HTML page.
UNKNOWN_OPERATION_CODES = frozenset(
    {"UnknownOperationException", "UnknownOperation", "NotImplemented", "InvalidAction", "500", "501", "404"}
)
LACKING = object()

_AWS_DOMAINS = (".amazonaws.com", ".api.aws")


def describe(
    client: Any, name: str, *, timing: Timing = REAL_TIME, policy: RetryPolicy = START
) -> dict[str, Any] | None:
    """The table's description; None where there is no such table."""
    answer = ask(
        lambda: client.describe_table(TableName=name),
        f'describe table "{name}"',
        accept=("ResourceNotFoundException", "TableNotFoundException"),
        policy=policy,
        timing=timing,
    )
    return None if answer is None else dict(answer["Table"])


def ask_optional(client: Any, operation: str, doing: str, timing: Timing, **parameters: Any) -> Any:
    """Ask what an engine may not know: LACKING then."""
    try:
        answer = ask(
            lambda: getattr(client, operation)(**parameters),
            doing,
            accept=UNKNOWN_OPERATION_CODES,
            policy=BRIEF,
            timing=timing,
        )
    except NotImplementedError:  # moto inside this process
        return LACKING
    except TargetError as error:
        if _is_lack(error.__cause__):
            return LACKING
        raise
    return LACKING if answer is None else answer


def found_settings(
    client: Any, definition: TableDefinition, description: Mapping[str, Any], *, timing: Timing = REAL_TIME
) -> dict[str, Any]:
    """The same paths as the table has them, and indexes that the mapping does not know."""
    wanted = expected_settings(definition)
    found = {
        "billing_mode": _found_billing(description),
        **_found_indexes(description, "GlobalSecondaryIndexes", "global_indexes"),
        **_found_indexes(description, "LocalSecondaryIndexes", "local_indexes"),
        "stream": (description.get("StreamSpecification") or {}).get("StreamViewType"),
        **_found_modern(description, is_the_service=is_the_service(client)),
    }
    name = definition.name
    if "time_to_live" in wanted:
        found["time_to_live"] = found_time_to_live(client, name, timing)
    if "point_in_time_recovery" in wanted:
        found["point_in_time_recovery"] = found_recovery(client, name, timing)
    if "contributor_insights" in wanted:
        found["contributor_insights"] = found_insights(client, name, timing)
    if definition.tags:
        tags = found_tags(client, description, timing)
        found |= {f"tags.{key}": LACKING if tags is None else tags.get(key) for key, _ in definition.tags}
    return {path: value for path, value in found.items() if path in wanted or "_indexes." in path}


def found_time_to_live(client: Any, name: str, timing: Timing) -> Any:
    answer = ask_optional(client, "describe_time_to_live", f'read time to live of "{name}"', timing, TableName=name)
    if answer is LACKING:
        return LACKING
    ttl = answer.get("TimeToLiveDescription", {})
    return ttl.get("AttributeName") if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") else None


def found_recovery(client: Any, name: str, timing: Timing) -> Any:
    answer = ask_optional(
        client, "describe_continuous_backups", f'read point-in-time recovery of "{name}"', timing, TableName=name
    )
    if answer is LACKING:
        return LACKING
    recovery = answer.get("ContinuousBackupsDescription", {}).get("PointInTimeRecoveryDescription", {})
    return recovery.get("PointInTimeRecoveryStatus") == "ENABLED"


def found_insights(client: Any, name: str, timing: Timing) -> Any:
    answer = ask_optional(
        client, "describe_contributor_insights", f'read contributor insights of "{name}"', timing, TableName=name
    )
    if answer is LACKING:
        return LACKING
    return answer.get("ContributorInsightsStatus") in ("ENABLED", "ENABLING")


def found_tags(client: Any, description: Mapping[str, Any], timing: Timing) -> dict[str, str] | None:
    """All tags; None where the engine has none."""
    arn = description.get("TableArn")
    tags: dict[str, str] = {}
    token: dict[str, str] = {}
    while arn:
        answer = ask_optional(client, "list_tags_of_resource", f"read tags of {arn}", timing, ResourceArn=arn, **token)
        if answer is LACKING:
            return None
        tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", ())}
        if not answer.get("NextToken"):
            return tags
        token = {"NextToken": answer["NextToken"]}
    return None


def found_keys(description: Mapping[str, Any]) -> dict[str, str]:
    names = ("partition_key", "sort_key")
    keys = dict(zip(names, _schema_texts(description, description["KeySchema"]), strict=False))
    for kind, listed in (("global", "GlobalSecondaryIndexes"), ("local", "LocalSecondaryIndexes")):
        keys |= {
            f"{kind}_indexes.{index['IndexName']}": ", ".join(_schema_texts(description, index["KeySchema"]))
            for index in description.get(listed) or ()
        }
    return keys


def _schema_texts(description: Mapping[str, Any], schema: Iterable[Mapping[str, str]]) -> list[str]:
    types = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}
    # HASH before RANGE, whatever order an engine lists them in.
    ordered = sorted(schema, key=lambda each: each["KeyType"])
    return [f"{each['AttributeName']} ({types.get(each['AttributeName'], '?')})" for each in ordered]


def _found_indexes(description: Mapping[str, Any], listed: str, path: str) -> dict[str, str]:
    def text(index: Mapping[str, Any]) -> str:
        projection = index.get("Projection", {})
        included = projection.get("NonKeyAttributes") or ()
        keys = ", ".join(_schema_texts(description, index["KeySchema"]))
        return " ".join(
            (keys, projection.get("ProjectionType", "ALL"), *([", ".join(sorted(included))] if included else []))
        )

    return {f"{path}.{index['IndexName']}": text(index) for index in description.get(listed) or ()}


def _found_billing(description: Mapping[str, Any]) -> str:
    throughput = description.get("ProvisionedThroughput") or {}
    units = Capacity(throughput.get("ReadCapacityUnits", 0), throughput.get("WriteCapacityUnits", 0))
    mode = (description.get("BillingModeSummary") or {}).get("BillingMode")
    # The service leaves the summary out for a table that was never on demand.
    on_demand = mode == "PAY_PER_REQUEST" or (mode is None and units == Capacity(0, 0))
    return billing(None if on_demand else units)


def is_the_service(client: Any) -> bool:
    """Whether AWS itself answers, and no engine that stands in for it."""
    endpoint = str(getattr(getattr(client, "meta", None), "endpoint_url", ""))
    return any(domain in endpoint for domain in _AWS_DOMAINS)


def _found_modern(description: Mapping[str, Any], *, is_the_service: bool) -> dict[str, Any]:
    """Settings younger than some engines, which then report none of them."""
    encryption = (description.get("SSEDescription") or {}).get("KMSMasterKeyArn")
    table_class = (description.get("TableClassSummary") or {}).get("TableClass")
    warm = description.get("WarmThroughput")
    if "DeletionProtectionEnabled" not in description:
        return {
            "encryption": encryption or LACKING,
            "deletion_protection": LACKING,
            "table_class": table_class or LACKING,
            "warm_throughput": LACKING,
        }
    return {
        "encryption": encryption,
        "deletion_protection": description["DeletionProtectionEnabled"],
        # The service names the class only of a table that was ever given one; moto never does.
        "table_class": table_class or ("STANDARD" if is_the_service else LACKING),
        "warm_throughput": capacity_text(Capacity(warm["ReadUnitsPerSecond"], warm["WriteUnitsPerSecond"]))
        if warm
        else LACKING,
    }


def _is_lack(cause: BaseException | None) -> bool:
    if isinstance(cause, ClientError):
        status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # A page instead of an answer carries no error code of the service.
        return status >= 500 and not cause.response.get("Error", {}).get("Code", "").endswith(("Exception", "Error"))
    return isinstance(cause, ResponseParserError)
