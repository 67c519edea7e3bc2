"""Settings of a table that no engine here keeps, or only one does: the strict door keeps and describes them itself.

`door.keeps(settings)` lets a `KeptSettings` answer in the engine's place, behind the rules and the faults. Tests look
at `requests`, and at what the table is said to be afterwards. Shapes are those of the API reference, DG is the
developer guide; what stands in quotes is a heading there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from door import Forward, Reply, Request

Document = dict[str, Any]
VALIDATION = "com.amazon.coral.validate#ValidationException"
MISSING = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/"


def key_arn(specification: Mapping[str, Any]) -> str:
    """A table tells its key's ARN, whatever name the key was given by."""
    key = specification.get("KMSMasterKeyId", "alias/aws/dynamodb")
    return str(key) if key.startswith("arn:") else KEY_ARN + str(key).replace("alias/", "of-").replace("/", "-")


def _encryption(specification: Mapping[str, Any]) -> Document:
    if not specification.get("Enabled"):
        return {}
    return {"SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key_arn(specification)}}


#: A parameter of CreateTable and UpdateTable -> what DescribeTable tells of it.
_DESCRIBED: Mapping[str, Callable[[Any], Document]] = {
    "TableClass": lambda name: {"TableClassSummary": {"TableClass": name}},
    "WarmThroughput": lambda units: {"WarmThroughput": {**units, "Status": "ACTIVE"}},
    "SSESpecification": _encryption,
    "StreamSpecification": lambda stream: {"StreamSpecification": stream} if stream["StreamEnabled"] else {},
    "DeletionProtectionEnabled": lambda on: {"DeletionProtectionEnabled": on},
}
#: What the service says of every table that was told nothing; the warmth is that of DG "Warm throughput".
_UNTOLD: Document = {
    "DeletionProtectionEnabled": False,
    "WarmThroughput": {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "ACTIVE"},
}


@dataclass
class _Settings:
    described: Document = field(default_factory=lambda: dict(_UNTOLD))
    tags: dict[str, str] = field(default_factory=dict)
    time_to_live: str | None = None
    recovery: bool = False
    insights: bool = False

    def take(self, parameters: Mapping[str, Any]) -> None:
        for name, value in parameters.items():
            self.described |= _DESCRIBED[name](value)


class KeptSettings:
    """What each table was told. `requests` lists (operation, parameters) of all that changed a setting."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Document]] = []
        self._tables: dict[str, _Settings] = {}

    def __call__(self, request: Request, forward: Forward) -> Reply:
        answer = self._ANSWERS.get(request.operation)
        return answer(self, request, forward) if answer else forward(request)

    def of(self, operation: str) -> list[Document]:
        return [parameters for name, parameters in self.requests if name == operation]

    # ---- operations on tables

    def _create(self, request: Request, forward: Forward) -> Reply:
        document = request.document
        told = {name: document[name] for name in _DESCRIBED if name in document}
        tags = {tag["Key"]: tag["Value"] for tag in document.get("Tags", ())}
        rest = {name: value for name, value in document.items() if name not in _DESCRIBED and name != "Tags"}
        reply = forward(request.with_document(rest))
        if reply.status == 200:
            self.requests.append(("CreateTable", document))
            self._tables[document["TableName"]] = settings = _Settings(tags=tags)
            settings.take(told)
        return reply

    def _update(self, request: Request, forward: Forward) -> Reply:
        document = request.document
        told = {name: document[name] for name in _DESCRIBED if name in document}
        rest = {name: value for name, value in document.items() if name not in _DESCRIBED}
        # API UpdateTable: "You can only perform one of the following operations at once"
        if len(told) > 1 or (told and len(rest) > 1):
            return Reply.error(VALIDATION, "Only one change of a table at once")
        if not told:
            reply = forward(request)
        elif document["TableName"] in self._tables:
            self._tables[document["TableName"]].take(told)
            reply = Reply.of({"TableDescription": {"TableName": document["TableName"], "TableStatus": "UPDATING"}})
        else:
            return Reply.error(MISSING, "Requested resource not found")
        if reply.status == 200:
            self.requests.append(("UpdateTable", document))
        return reply

    def _describe(self, request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        settings = self._tables.get(request.document["TableName"])
        if reply.status != 200 or settings is None:
            return reply
        name = request.document["TableName"]
        arn = {"TableArn": f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}"}
        return Reply.of({"Table": reply.document["Table"] | arn | settings.described})

    def _delete(self, request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if reply.status == 200:
            self._tables.pop(request.document["TableName"], None)
        return reply

    # ---- settings with operations of their own

    def _own(self, request: Request, forward: Forward) -> Reply:
        document = request.document
        name = document.get("TableName") or document["ResourceArn"].rpartition("/")[2]
        settings = self._tables.get(name)
        if settings is None:
            return Reply.error(MISSING, "Requested resource not found")
        if request.operation in _OWN_CHANGES:
            refused = _OWN_CHANGES[request.operation](settings, document)
            if refused:
                return Reply.error(VALIDATION, refused)
            self.requests.append((request.operation, document))
            return Reply.of({})
        return Reply.of(_OWN_ANSWERS[request.operation](settings))

    _ANSWERS: Mapping[str, Callable[[KeptSettings, Request, Forward], Reply]] = {
        "CreateTable": _create,
        "UpdateTable": _update,
        "DescribeTable": _describe,
        "DeleteTable": _delete,
        **dict.fromkeys(
            (
                "UpdateTimeToLive",
                "UpdateContinuousBackups",
                "UpdateContributorInsights",
                "TagResource",
                "DescribeTimeToLive",
                "DescribeContinuousBackups",
                "DescribeContributorInsights",
                "ListTagsOfResource",
            ),
            _own,
        ),
    }


def _set_time_to_live(settings: _Settings, document: Document) -> str | None:
    if settings.time_to_live:
        # DG "Enable TTL": another attribute only after it was disabled
        return "TimeToLive is already enabled"
    settings.time_to_live = document["TimeToLiveSpecification"]["AttributeName"]
    return None


def _set_recovery(settings: _Settings, document: Document) -> None:
    settings.recovery = document["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def _set_insights(settings: _Settings, document: Document) -> None:
    settings.insights = document["ContributorInsightsAction"] == "ENABLE"


def _set_tags(settings: _Settings, document: Document) -> None:
    settings.tags |= {tag["Key"]: tag["Value"] for tag in document["Tags"]}


def _status(on: Any) -> str:
    return "ENABLED" if on else "DISABLED"


_OWN_CHANGES: Mapping[str, Callable[[_Settings, Document], str | None]] = {
    "UpdateTimeToLive": _set_time_to_live,
    "UpdateContinuousBackups": _set_recovery,
    "UpdateContributorInsights": _set_insights,
    "TagResource": _set_tags,
}
_OWN_ANSWERS: Mapping[str, Callable[[_Settings], Document]] = {
    "DescribeTimeToLive": lambda settings: {
        "TimeToLiveDescription": {
            "TimeToLiveStatus": _status(settings.time_to_live),
            **({"AttributeName": settings.time_to_live} if settings.time_to_live else {}),
        }
    },
    "DescribeContinuousBackups": lambda settings: {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": _status(settings.recovery)},
        }
    },
    "DescribeContributorInsights": lambda settings: {"ContributorInsightsStatus": _status(settings.insights)},
    "ListTagsOfResource": lambda settings: {
        "Tags": [{"Key": name, "Value": value} for name, value in settings.tags.items()]
    },
}
