"""The table as it is against the table as the mapping defines it.

Both are flattened to `{path: value}` and compared line by line, so a new setting is one line in each.
A path that an engine does not report at all is a thing it lacks, and no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from migrator.errors import TargetError
from migrator.mapping.model import Capacity, IndexDefinition, KeyAttribute, TableDefinition
from migrator.target.backoff import BRIEF, REAL_TIME, START, RetryPolicy, Timing, ask

#: How engines say that they do not know an operation. moto's server answers an unknown one with an HTML page.
UNKNOWN_OPERATION_CODES = frozenset(
    {"UnknownOperationException", "UnknownOperation", "NotImplemented", "InvalidAction", "500", "501", "404"}
)
LACKING = object()

_USABLE = ("ACTIVE", "UPDATING")


@dataclass(frozen=True, slots=True)
class Difference:
    """`fatal`: items written to this table would be refused or land under other keys.

    >>> print(Difference("sort_key", "SK (S)", None, True))
    sort_key: should be SK (S), is absent
    """

    path: str
    expected: Any
    found: Any
    fatal: bool = False

    def __str__(self) -> str:
        expected, found = ("absent" if each is None else each for each in (self.expected, self.found))
        return f"{self.path}: should be {expected}, is {found}"


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


def compare(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> list[Difference]:
    """Every difference between the table and its definition, the fatal ones first."""
    description = describe(client, definition.name, timing=timing)
    fatal = fatal_differences(definition, description)
    if description is None:
        return fatal
    expected = expected_settings(definition)
    found = found_settings(client, definition, description, timing=timing)
    other = [
        Difference(path, expected.get(path), found.get(path))
        for path in (*expected, *(path for path in found if path not in expected))
        if found.get(path) is not LACKING and not _equal(path, expected.get(path), found.get(path))
    ]
    named = {difference.path for difference in fatal}
    return fatal + [difference for difference in other if difference.path not in named]


def fatal_differences(definition: TableDefinition, description: Mapping[str, Any] | None) -> list[Difference]:
    """What makes writing senseless: no table, not usable, other keys, an index with other keys."""
    if description is None:
        return [Difference("table", definition.name, None, True)]
    expected, found = _expected_keys(definition), _found_keys(description)
    status = description.get("TableStatus", "ACTIVE")
    return [
        *([] if status in _USABLE else [Difference("status", "ACTIVE", status, True)]),
        *(
            Difference(path, expected.get(path), found.get(path), True)
            for path in dict.fromkeys((*expected, *found))
            # An index that only one side has breaks no write; `compare` names it.
            if expected.get(path) != found.get(path)
            and (path in ("partition_key", "sort_key") or (path in expected and path in found))
        ),
    ]


def mismatch_error(definition: TableDefinition, differences: Iterable[Difference]) -> TargetError:
    """The error that refuses to write to such a table."""
    differences = list(differences)
    if [difference.path for difference in differences] == ["table"]:
        return TargetError(
            f'table "{definition.name}" does not exist\n'
            "  create it: migrator table create PLAN; or check target: region and profile",
            code="table_missing",
        )
    lines = "\n".join(f"  {difference}" for difference in differences)
    not_active = all(difference.path == "status" for difference in differences)
    return TargetError(
        f'table "{definition.name}" is not the one that the mapping describes\n{lines}\n'
        "  change table: in the mapping, or name another table",
        code="table_not_active" if not_active else "table_mismatch",
        retryable=not_active,
    )


# ---- both sides, flattened


def expected_settings(definition: TableDefinition) -> dict[str, Any]:
    """What the mapping says; what it is silent about is not compared.

    >>> expected_settings(TableDefinition("orders", KeyAttribute("PK"), time_to_live="ttl"))
    {'billing_mode': 'PAY_PER_REQUEST', 'time_to_live': 'ttl'}
    """
    said = {
        "billing_mode": _billing(definition.capacity),
        **{f"global_indexes.{index.name}": _index_text(index) for index in definition.global_indexes},
        **{f"local_indexes.{index.name}": _index_text(index) for index in definition.local_indexes},
        "warm_throughput": definition.warm_throughput and _capacity_text(definition.warm_throughput),
        "time_to_live": definition.time_to_live,
        "point_in_time_recovery": definition.point_in_time_recovery,
        "encryption": definition.kms_key,
        "deletion_protection": definition.deletion_protection,
        "table_class": definition.table_class,
        "contributor_insights": definition.contributor_insights,
        "stream": definition.stream,
        **{f"tags.{name}": value for name, value in definition.tags},
    }
    return {path: value for path, value in said.items() if value is not None}


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
        **_found_modern(description, definition),
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
    arn, tags, token = description.get("TableArn"), {}, {}
    while arn:
        answer = ask_optional(client, "list_tags_of_resource", f"read tags of {arn}", timing, ResourceArn=arn, **token)
        if answer is LACKING:
            return None
        tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", ())}
        if not answer.get("NextToken"):
            return tags
        token = {"NextToken": answer["NextToken"]}
    return None


# ---- texts of keys, indexes, billing


def _equal(path: str, expected: Any, found: Any) -> bool:
    if path == "encryption":
        return _same_key(expected, found)
    if path == "warm_throughput":
        return found is not None and all(int(a) <= int(b) for a, b in zip(_units(expected), _units(found), strict=True))
    return bool(expected == found)


def _same_key(expected: str, found: Any) -> bool:
    """A table reports its key's ARN. An alias cannot be followed without KMS, so any key counts for it."""
    return found is not None and (expected.startswith(("alias/", "arn:")) or str(found).endswith(expected))


def _units(text: str) -> list[str]:
    return [part for part in text.replace("/", " ").split() if part.isdigit()]


def _key_text(attribute: KeyAttribute) -> str:
    return f"{attribute.name} ({attribute.type})"


def _capacity_text(capacity: Capacity) -> str:
    return f"read {capacity.read} / write {capacity.write}"


def _billing(capacity: Capacity | None) -> str:
    return "PAY_PER_REQUEST" if capacity is None else f"PROVISIONED {_capacity_text(capacity)}"


def _index_text(index: IndexDefinition) -> str:
    keys = ", ".join(map(_key_text, index.key_attributes))
    return " ".join((keys, index.projection, *([", ".join(sorted(index.included))] if index.included else [])))


def _expected_keys(definition: TableDefinition) -> dict[str, str]:
    keys = {"partition_key": _key_text(definition.partition_key)}
    if definition.sort_key:
        keys["sort_key"] = _key_text(definition.sort_key)
    for kind, indexes in (("global", definition.global_indexes), ("local", definition.local_indexes)):
        keys |= {
            f"{kind}_indexes.{index.name}.keys": ", ".join(map(_key_text, index.key_attributes)) for index in indexes
        }
    return keys


def _found_keys(description: Mapping[str, Any]) -> dict[str, str]:
    names = ("partition_key", "sort_key")
    keys = dict(zip(names, _schema_texts(description, description["KeySchema"]), strict=False))
    for kind, listed in (("global", "GlobalSecondaryIndexes"), ("local", "LocalSecondaryIndexes")):
        keys |= {
            f"{kind}_indexes.{index['IndexName']}.keys": ", ".join(_schema_texts(description, index["KeySchema"]))
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
    return _billing(None if on_demand else units)


def _found_modern(description: Mapping[str, Any], definition: TableDefinition) -> dict[str, Any]:
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
        # The service names the class only of a table that was ever given one.
        "table_class": table_class or "STANDARD",
        "warm_throughput": _capacity_text(Capacity(warm["ReadUnitsPerSecond"], warm["WriteUnitsPerSecond"]))
        if warm
        else LACKING,
    }


def _is_lack(cause: BaseException | None) -> bool:
    if isinstance(cause, ClientError):
        status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # A page instead of an answer carries no error code of the service.
        return status >= 500 and not cause.response.get("Error", {}).get("Code", "").endswith(("Exception", "Error"))
    return isinstance(cause, ResponseParserError)
