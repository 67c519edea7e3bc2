"""IAM for the strict door: a policy lets a request through or refuses it, and what it granted for nothing is told.

`door.faults.append(guard)`. Resources are those of the Service Authorization Reference: a table or its index, its
backups. KMS, STS and IAM itself do not stand behind the door.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from door import Forward, Reply, Request
from door_faults import DENIED

ACCOUNT = "123456789012"
TABLES = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/"

#: (action, resource)
Need = tuple[str, str]


@dataclass
class Guard:
    """Enforces `policy`, an IAM document that only allows."""

    policy: Mapping[str, Any]
    refused: set[str] = field(default_factory=set)  #: actions
    _used: set[Need] = field(default_factory=set)  #: (action, resource as the policy has it)

    def __call__(self, request: Request, forward: Forward) -> Reply:
        for action, resource in _needs(request):
            granted = {need for need in self._grants() if need[0] == action and fnmatchcase(resource, need[1])}
            if not granted:
                self.refused.add(action)
                return Reply.error(DENIED, f"not authorized to perform: {action} on resource: {resource}")
            self._used |= granted
        return forward(request)

    def unused(self) -> set[Need]:
        """What it grants of DynamoDB, and nobody asked for."""
        return {need for need in self._grants() if need[0].startswith("dynamodb:")} - self._used

    def _grants(self) -> Iterator[Need]:
        for statement in self.policy["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in statement["Action"]:
                yield from ((action, resource) for resource in statement["Resource"])


def _needs(request: Request) -> Iterator[Need]:
    """One request can need several rights: a batch that of each table, a table with tags that of tagging."""
    action, document = f"dynamodb:{request.operation}", request.document
    for resource in _resources(document):
        yield action, resource
    if request.operation == "CreateTable" and document.get("Tags"):
        yield "dynamodb:TagResource", TABLES + document["TableName"]


def _resources(document: Mapping[str, Any]) -> list[str]:
    match document:
        case {"RequestItems": tables}:
            return [TABLES + name for name in tables]
        case {"TableName": name, "IndexName": index}:
            return [f"{TABLES}{name}/index/{index}"]
        case {"TableName": name}:
            return [TABLES + name]
        case {"ResourceArn": arn} | {"BackupArn": arn}:
            return [arn]
    return ["*"]
