"""What a target says of a table, in the words of `tablewords`.

A setting that an engine does not report at all is LACKING: it has no such thing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from migrator.errors import TargetError
from migrator.mapping.model import AWS_OWNED, Capacity
from migrator.target.backoff import BRIEF, REAL_TIME, START, RetryPolicy, Timing, ask
from migrator.target.tablewords import billing, capacity_text

#: How engines say that they do not know an operation. moto's server answers an unknown one with an HTML page.
UNKNOWN_OPERATION_CODES = frozenset(
    {"UnknownOperationException", "UnknownOperation", "NotImplemented", "InvalidAction", "500", "501", "404"}
)
LACKING: Final = object()

_AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


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


def ask_optional(
    client: Any, operation: str, doing: str, timing: Timing, *, policy: RetryPolicy = BRIEF, **parameters: Any
) -> Any:
    """Ask what an engine may not know: LACKING then."""
    try:
        answer = ask(
            lambda: getattr(client, operation)(**parameters),
            doing,
            accept=UNKNOWN_OPERATION_CODES,
            policy=policy,
            timing=timing,
        )
    except NotImplementedError:  # what moto raises for an operation it lacks, where it runs in this process
        return LACKING
    except TargetError as error:
        if _is_lack(error.__cause__):
            return LACKING
        raise
    return LACKING if answer is None else answer


def is_service(endpoint: str) -> bool:
    """Whether the endpoint is AWS's own, and no engine that stands in for it."""
    return (urlsplit(endpoint).hostname or "").endswith(_AWS_DOMAINS)


def stand_together(one: Any, other: Any) -> bool:
    """Whether two services' clients ask one side: an engine of one's own knows nothing of AWS, nor AWS of it."""
    return is_service(endpoint_of(one)) == is_service(endpoint_of(other))


def endpoint_of(client: Any) -> str:
    return str(getattr(getattr(client, "meta", None), "endpoint_url", ""))


# ---- settings


def found_settings(
    client: Any, description: Mapping[str, Any], only: Collection[str] | None = None, *, timing: Timing = REAL_TIME
) -> dict[str, Any]:
    """The settings as the table has them. With `only`, these and all indexes, and no request for others."""
    name, is_bare = description["TableName"], "DeletionProtectionEnabled" not in description
    found = {
        "billing_mode": _billing(description),
        **_indexes(description, "GlobalSecondaryIndexes", "global_indexes"),
        **_indexes(description, "LocalSecondaryIndexes", "local_indexes"),
        **_index_capacities(description),
        **_modern(description, is_bare=is_bare, at_service=is_service(endpoint_of(client))),
    }
    for path, (operation, read) in _ASKED.items():
        if only is None or path in only:
            doing = f'read {path.replace("_", " ")} of table "{name}"'
            answer = ask_optional(client, operation, doing, timing, TableName=name)
            found[path] = LACKING if answer is LACKING else read(answer)
            # dynalite says of every table that time to live is off, and cannot switch it on.
            if is_bare and not found[path]:
                found[path] = LACKING
    found |= _tags(client, description, only, timing)
    return {path: value for path, value in found.items() if only is None or path in only or "_indexes." in path}


def _time_to_live(answer: Mapping[str, Any]) -> str | None:
    ttl = answer.get("TimeToLiveDescription", {})
    return ttl.get("AttributeName") if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") else None


def _recovery(answer: Mapping[str, Any]) -> bool:
    recovery = answer.get("ContinuousBackupsDescription", {}).get("PointInTimeRecoveryDescription", {})
    return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")


def _insights(answer: Mapping[str, Any]) -> bool:
    return answer.get("ContributorInsightsStatus") in ("ENABLED", "ENABLING")


#: What DescribeTable does not tell: path -> (operation, what its answer says).
_ASKED: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "time_to_live": ("describe_time_to_live", _time_to_live),
    "point_in_time_recovery": ("describe_continuous_backups", _recovery),
    "contributor_insights": ("describe_contributor_insights", _insights),
}
_LIST_TAGS = "list_tags_of_resource"


def asking_operations(only: Collection[str] | None) -> list[str]:
    """The API's names of what `found_settings` asks beside DescribeTable.

    >>> asking_operations(["time_to_live", "tags.Project"])
    ['DescribeTimeToLive', 'ListTagsOfResource']
    """
    asked = [operation for path, (operation, _) in _ASKED.items() if only is None or path in only]
    if only is None or any(path.startswith("tags.") for path in only):
        asked.append(_LIST_TAGS)
    return [operation.title().replace("_", "") for operation in asked]


def _tags(client: Any, description: Mapping[str, Any], only: Collection[str] | None, timing: Timing) -> dict[str, Any]:
    wanted = [path for path in only or () if path.startswith("tags.")]
    if only is not None and not wanted:
        return {}
    tags = _all_tags(client, description.get("TableArn"), timing)
    if tags is None:
        return dict.fromkeys(wanted or ["tags"], LACKING)
    return dict.fromkeys(wanted) | {f"tags.{name}": value for name, value in tags.items()}


def _all_tags(client: Any, arn: str | None, timing: Timing) -> dict[str, str] | None:
    """None where the engine has none."""
    tags: dict[str, str] = {}
    token: dict[str, Any] = {}
    while arn:
        answer = ask_optional(client, _LIST_TAGS, f"read tags of {arn}", timing, ResourceArn=arn, **token)
        if answer is LACKING:
            return None
        tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", ())}
        if not answer.get("NextToken"):
            return tags
        token = {"NextToken": answer["NextToken"]}
    return None


# ---- what DescribeTable tells


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


def _indexes(description: Mapping[str, Any], listed: str, path: str) -> dict[str, str]:
    def text(index: Mapping[str, Any]) -> str:
        projection = index.get("Projection", {})
        included = projection.get("NonKeyAttributes") or ()
        keys = ", ".join(_schema_texts(description, index["KeySchema"]))
        return " ".join(
            (keys, projection.get("ProjectionType", "ALL"), *([", ".join(sorted(included))] if included else []))
        )

    return {f"{path}.{index['IndexName']}": text(index) for index in description.get(listed) or ()}


def _billing(description: Mapping[str, Any]) -> str:
    units = _provisioned(description) or Capacity(0, 0)
    mode = (description.get("BillingModeSummary") or {}).get("BillingMode")
    # The service leaves the summary out for a table that was never on demand.
    on_demand = mode == "PAY_PER_REQUEST" or (mode is None and units == Capacity(0, 0))
    return billing(None if on_demand else units)


def _index_capacities(description: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"index_capacity.{index['IndexName']}": capacity_text(units) if (units := _provisioned(index)) else LACKING
        for index in description.get("GlobalSecondaryIndexes") or ()
    }


def _provisioned(described: Mapping[str, Any]) -> Capacity | None:
    throughput = described.get("ProvisionedThroughput")
    if not throughput:
        return None
    return Capacity(throughput.get("ReadCapacityUnits", 0), throughput.get("WriteCapacityUnits", 0))


def _modern(description: Mapping[str, Any], *, is_bare: bool, at_service: bool) -> dict[str, Any]:
    """Settings younger than some engines, which then report none of them."""
    encryption = (description.get("SSEDescription") or {}).get("KMSMasterKeyArn")
    table_class = (description.get("TableClassSummary") or {}).get("TableClass")
    stream = (description.get("StreamSpecification") or {}).get("StreamViewType")
    warm = description.get("WarmThroughput")
    if is_bare:
        return {
            "encryption": encryption or LACKING,
            "deletion_protection": LACKING,
            "table_class": table_class or LACKING,
            "stream": stream or LACKING,
            "warm_throughput": LACKING,
        }
    return {
        "encryption": encryption or AWS_OWNED,
        "deletion_protection": description["DeletionProtectionEnabled"],
        # The service names the class only of a table that was ever given one; moto never does.
        "table_class": table_class or ("STANDARD" if at_service else LACKING),
        "stream": stream,
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
