"""The items that an import refused, as its log in CloudWatch tells: each by its file and its place there.

"Import format quotas and validation" — S3DataImport.Validation: the group /aws-dynamodb/imports has a stream
IMPORT_ID/error with an event for each error, and items of one key are no error. The log comes late.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from migrator.errors import TargetError
from migrator.mapping.model import TableDefinition
from migrator.mapping.wirejson import from_wire
from migrator.target.backoff import REAL_TIME, Patience, RetryPolicy, Timing, ask, pause
from migrator.target.faults import Verdict
from migrator.target.importfiles import Bucket
from migrator.target.imports import Import
from migrator.target.outcome import FailedItem

#: The code of such an item in the failed file.
CODE = "ItemValidationError"
#: How long an event may take to its log.
LATE = RetryPolicy(max_attempts=1_000, give_up_after_s=60.0, first_delay_s=0.2, longest_delay_s=5.0)
_GROUP = "/aws-dynamodb/imports"


class Refusal(Struct, frozen=True):
    """`index` is the item's place in its file, from 0."""

    key: str  #: of the file
    index: int
    message: str


def refused_items(
    logs: Any, found: Import, table: TableDefinition, bucket: Bucket, *, timing: Timing = REAL_TIME
) -> Iterator[tuple[str, list[FailedItem]]]:
    """File by file, by their names: what of it was refused. Raises TargetError where the log does not tell of all."""
    by_key: dict[str, list[Refusal]] = defaultdict(list)
    for refusal in _await_refusals(logs, found, timing):
        by_key[refusal.key].append(refusal)
    for key, refusals in by_key.items():
        yield bucket.name_of(key), list(_iter_items(bucket, table, bucket.name_of(key), refusals))


def log_error(found: Import, told: int) -> TargetError:
    return TargetError(
        f"the import refused {found.errors} items, and its log {_stream(found)} tells of {told}\n"
        "  Look there, and run again to read it again.",
        code="import_log",
        retryable=True,
    )


def read_events(messages: Iterable[str]) -> set[Refusal]:
    """The refusals that events tell of; an event that came twice is one.

    >>> read_events(['{"itemS3Pointer": {"bucket": "b", "key": "t/0.gz", "itemIndex": 7}, "errorMessages": ["bad"]}'])
    {Refusal(key='t/0.gz', index=7, message='bad')}
    """
    return {refusal for message in messages if (refusal := _read(message)) is not None}


def _read(message: str) -> Refusal | None:
    """Of the log's other lines, nothing."""
    try:
        event = json.loads(message)
        pointer = event["itemS3Pointer"]
        return Refusal(pointer["key"], int(pointer["itemIndex"]), "; ".join(event.get("errorMessages", ())))
    except (ValueError, KeyError, TypeError):
        return None


def _await_refusals(logs: Any, found: Import, timing: Timing) -> set[Refusal]:
    patience = Patience(LATE, timing.clock)
    while len(refusals := read_events(_iter_messages(logs, found, timing))) < found.errors:
        delay_s = patience.delay_s(Verdict.THROTTLED)
        if delay_s is None:
            raise log_error(found, len(refusals))
        pause(delay_s, timing)
    return refusals


def _iter_messages(logs: Any, found: Import, timing: Timing) -> Iterator[str]:
    page: dict[str, Any] = {"logGroupName": _group(found), "logStreamName": _stream(found), "startFromHead": True}
    while True:
        answer = ask(
            partial(logs.get_log_events, **page),
            f"read the log {_stream(found)}",
            accept=("ResourceNotFoundException",),  # it comes with its first event
            timing=timing,
        )
        if answer is None:
            return
        yield from (event["message"] for event in answer["events"])
        # At its end a log gives the token that it was given.
        if answer["nextForwardToken"] == page.get("nextToken"):
            return
        page |= {"nextToken": answer["nextForwardToken"]}


def _group(found: Import) -> str:
    """
    >>> _group(Import("", "", log_group="arn:aws:logs:us-east-1:123456789012:log-group:/aws-dynamodb/imports:*"))
    '/aws-dynamodb/imports'
    """
    return (found.log_group or "").partition(":log-group:")[2].removesuffix(":*") or _GROUP


def _stream(found: Import) -> str:
    return f"{found.arn.rpartition('/')[2]}/error"


def _iter_items(bucket: Bucket, table: TableDefinition, name: str, refusals: Iterable[Refusal]) -> Iterator[FailedItem]:
    wanted: Mapping[int, Refusal] = {refusal.index: refusal for refusal in refusals}
    with bucket.reading(name) as file, gzip.open(file) as lines:
        for index, line in enumerate(lines):
            if index in wanted:
                item = from_wire(json.loads(line)["Item"])
                key = {key.name: item[key.name] for key in table.key_attributes}
                yield FailedItem(key, item, CODE, wanted[index].message)
