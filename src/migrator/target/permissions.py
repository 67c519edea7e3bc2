"""The rights that each purpose takes at AWS, and the IAM policy that grants these and nothing else.

An action of DynamoDB has the name of the API's operation. Which settings are asked for and changed is read from where
the requests are made (`tablefound`, `tablerequests`), so that a new setting brings its rights along.
Nothing is asked of AWS. "SAR" is the Service Authorization Reference, "DG" DynamoDB's developer guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from migrator.errors import UsageError
from migrator.mapping.model import AWS_MANAGED, AWS_MANAGED_ALIAS, AWS_OWNED, AccessPattern, TableDefinition
from migrator.target.faults import CLIENT_ERRORS
from migrator.target.session import TargetSettings, open_region, to_target_error
from migrator.target.tablefound import asking_operations
from migrator.target.tablerequests import setting_requests
from migrator.target.tablewords import expected_settings

ANY = "*"
#: The purpose that is about sources, not tables.
FETCH = "Fetch"
# "Contributor Insights", Using IAM — DG: made when insights are switched on for the first time in an account.
_INSIGHTS = "contributorinsights.dynamodb.amazonaws.com"
_INSIGHTS_ROLE = f"aws-service-role/{_INSIGHTS}/AWSServiceRoleForDynamoDBCloudWatchContributorInsights"
# "Encryption at rest", permissions of the principal — DG: what DynamoDB does in the name of who makes a table.
_MAKING_UNDER_A_KEY = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")


class Place(Struct, frozen=True):
    """Where tables are, in the words of an ARN."""

    partition: str
    region: str
    account: str  #: ANY where it is not known

    @classmethod
    def of(cls, settings: TargetSettings, account: str | None) -> Place:
        """The settings' region. Without an account it is that of `role_arn`, else any. Raises TargetError."""
        session, region = open_region(settings)
        try:
            partition = session.get_partition_for_region(region)
        except CLIENT_ERRORS as error:
            raise to_target_error(error, f"AWS region {region}") from error
        # arn:PARTITION:iam::ACCOUNT:role/NAME
        parts = (settings.role_arn or "").split(":")
        return cls(partition, region, account or (parts[4] if len(parts) > 4 else ANY))

    @property
    def domain(self) -> str:
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, name: str) -> str:
        region = "" if service == "iam" else self.region
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{name}"


class Subject(Struct, frozen=True):
    """A table in its place, and the questions that are asked of it."""

    place: Place
    definition: TableDefinition
    patterns: tuple[AccessPattern, ...] = ()

    @property
    def arn(self) -> str:
        return self.place.arn("dynamodb", f"table/{self.definition.name}")


#: (operator, key, value)
Condition = tuple[str, str, str]


class Grant(Struct, frozen=True):
    action: str
    resource: str
    conditions: tuple[Condition, ...] = ()


def policy(needs: Iterable[tuple[str, Subject]], fetched: Iterable[Grant] = ()) -> dict[str, Any]:
    """The document for purposes and their tables. What an earlier purpose grants, a later one does not repeat.

    A purpose is a statement, or several where its actions are on different resources. `fetched` is what fetching the
    sources takes.
    """
    granted: set[Grant] = set()
    purposes: dict[str, list[Grant]] = {}
    for purpose, subject in needs:
        new = [grant for grant in dict.fromkeys(PURPOSES[purpose](subject)) if grant not in granted]
        purposes.setdefault(purpose, []).extend(new)
        granted.update(new)
    if fetching := list(dict.fromkeys(fetched)):
        purposes[FETCH] = fetching
    return _document(statement for purpose, grants in purposes.items() for statement in _statements(purpose, grants))


def fetch_grants(place: Place, bucket: str, prefix: str) -> Iterator[Grant]:
    """To list the keys that begin so, and to read the objects.

    >>> place = Place("aws", "eu-central-1", ANY)
    >>> [grant.resource for grant in fetch_grants(place, "bucket", "tenants/")]
    ['arn:aws:s3:::bucket', 'arn:aws:s3:::bucket/tenants/*']
    """
    arn = f"arn:{place.partition}:s3:::{bucket}"
    conditions: tuple[Condition, ...] = (("StringLike", "s3:prefix", f"{prefix}*"),) if prefix else ()
    yield Grant("s3:ListBucket", arn, conditions)
    yield Grant("s3:GetObject", f"{arn}/{prefix}*")


def assume_policy(settings: TargetSettings) -> dict[str, Any]:
    """For who takes the plan's role on. Raises UsageError where it has none."""
    if not settings.role_arn:
        raise UsageError("--caller: the plan names no target: role_arn, so nobody takes a role on")
    return _document(_statements("Assume", [Grant("sts:AssumeRole", settings.role_arn)]))


def _document(statements: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statements(sid: str, grants: Iterable[Grant]) -> Iterator[dict[str, Any]]:
    resources: dict[tuple[tuple[Condition, ...], str], list[str]] = {}
    for grant in grants:
        resources.setdefault((grant.conditions, grant.action), []).append(grant.resource)
    actions: dict[tuple[tuple[Condition, ...], tuple[str, ...]], list[str]] = {}
    for (conditions, action), named in resources.items():
        actions.setdefault((conditions, tuple(named)), []).append(action)
    for number, ((conditions, named_together), allowed) in enumerate(actions.items(), 1):
        yield {
            "Sid": sid if number == 1 else f"{sid}{number}",
            "Effect": "Allow",
            "Action": sorted(allowed),
            "Resource": list(named_together),
            **({"Condition": {operator: {key: value} for operator, key, value in conditions}} if conditions else {}),
        }


# ---- what each purpose takes

Rights = Callable[[Subject], Iterator[Grant]]


def _on_table(*operations: str) -> Rights:
    return lambda subject: (Grant(f"dynamodb:{operation}", subject.arn) for operation in operations)


def _look(subject: Subject) -> Iterator[Grant]:
    """The table, and of its settings those that the definition speaks of."""
    yield from _on_table("DescribeTable", *asking_operations(expected_settings(subject.definition)))(subject)
    if _named_key(subject.definition) or subject.definition.encryption == AWS_MANAGED:
        yield _on_key(subject, "DescribeKey")


def _look_closely(subject: Subject) -> Iterator[Grant]:
    yield from _look(subject)
    yield from _on_table(*asking_operations(None))(subject)


def _create(subject: Subject) -> Iterator[Grant]:
    """SAR: a table is tagged under a right of its own, also where CreateTable brings the tags."""
    definition = subject.definition
    tagging = ("TagResource",) if definition.tags else ()
    yield from _on_table("CreateTable", *tagging, *setting_requests(definition))(subject)
    if _named_key(definition):
        yield from (_on_key(subject, operation, via_dynamodb=True) for operation in _MAKING_UNDER_A_KEY)
    if definition.contributor_insights:
        role = subject.place.arn("iam", f"role/{_INSIGHTS_ROLE}")
        yield Grant("iam:CreateServiceLinkedRole", role, (("StringEquals", "iam:AWSServiceName", _INSIGHTS),))


def _change(subject: Subject) -> Iterator[Grant]:
    definition = subject.definition
    if definition.global_indexes or definition.deletion_protection or definition.stream:
        yield from _on_table("UpdateTable")(subject)


def _use_key(subject: Subject) -> Iterator[Grant]:
    """DG: DynamoDB opens the table's key in the name of who reads or writes items."""
    if _named_key(subject.definition):
        yield _on_key(subject, "Decrypt", via_dynamodb=True)


def _back_up(subject: Subject) -> Iterator[Grant]:
    yield from _on_table("CreateBackup")(subject)
    yield Grant("dynamodb:DescribeBackup", f"{subject.arn}/backup/*")


def _ask(subject: Subject) -> Iterator[Grant]:
    """Who may ask an index may not therefore ask the table, nor the other way round."""
    for pattern in subject.patterns:
        asked = f"{subject.arn}/index/{pattern.index}" if pattern.index else subject.arn
        yield Grant(f"dynamodb:{'Query' if pattern.key else 'Scan'}", asked)


def _named_key(definition: TableDefinition) -> str | None:
    """The key in the account's own care; for the others DynamoDB needs no right of ours."""
    return None if definition.encryption in (None, AWS_OWNED, AWS_MANAGED) else definition.encryption


def _on_key(subject: Subject, operation: str, *, via_dynamodb: bool = False) -> Grant:
    """An alias is no resource of these operations: a condition names it, and any key may bear it."""
    place, key = subject.place, _named_key(subject.definition) or AWS_MANAGED_ALIAS
    conditions: list[Condition] = []
    front, is_arn, name = key.rpartition(":")
    if name.startswith("alias/"):
        conditions.append(("ForAnyValue:StringEquals", "kms:ResourceAliases", name))
        name = "key/*"
    if via_dynamodb:
        conditions.append(("StringEquals", "kms:ViaService", f"dynamodb.{place.region}.{place.domain}"))
    arn = f"{front}:{name}" if is_arn else place.arn("kms", f"key/{name.removeprefix('key/')}")
    return Grant(f"kms:{operation}", arn, tuple(conditions))


#: Purpose, which is also the statement's Sid -> what it takes of a table. `run.permissions` has those of each command.
PURPOSES: Mapping[str, Rights] = {
    "Find": _on_table("DescribeTable"),
    "Look": _look,
    "LookClosely": _look_closely,
    "Create": _create,
    "Change": _change,
    "UseKey": _use_key,
    "BackUp": _back_up,
    "FindEmpty": _on_table("Scan"),
    "KeepReplaced": _on_table("BatchGetItem"),
    "Write": _on_table("BatchWriteItem"),
    "WriteIfFree": _on_table("PutItem"),
    "CompareAll": _on_table("Scan", "BatchGetItem"),
    "CompareSample": _on_table("BatchGetItem"),
    "Ask": _ask,
    "TakeBack": _on_table("BatchGetItem", "GetItem", "PutItem", "DeleteItem"),
    "Clear": _on_table("Scan", "BatchWriteItem"),
}
