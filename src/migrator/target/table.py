"""Tables from definitions: create, wait, apply what can only be switched on afterwards.

Applying reads before it writes, so doing it twice changes nothing; it adds what is missing and takes nothing away:
keys, billing, encryption and table class of a table that exists are its owner's, and `compare` names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore import xform_name
from msgspec import Struct
from msgspec.structs import replace

from migrator.errors import TargetError
from migrator.mapping.model import TableDefinition
from migrator.target.backoff import REAL_TIME, START, Patience, RetryPolicy, Timing, ask, pause
from migrator.target.faults import Verdict, error_code
from migrator.target.tablecheck import (
    Difference,
    Inspection,
    compare,
    fatal_differences,
    inspect_table,
    lacking,
    mismatch_error,
)
from migrator.target.tablefound import LACKING, ask_optional, describe, found_settings
from migrator.target.tablerequests import (
    Change,
    changes,
    create_request,
    imported_changes,
    new_index,
    setting_requests,
)
from migrator.target.tablewords import expected_settings

__all__ = [
    "Difference",
    "Inspection",
    "compare",
    "complete_imported",
    "create_request",
    "create_table",
    "describe",
    "fatal_differences",
    "inspect_table",
    "mismatch_error",
    "setting_requests",
    "wait_until_active",
]

_CREATED = RetryPolicy(max_attempts=10_000, give_up_after_s=600.0, first_delay_s=0.05, longest_delay_s=2.0)
# A new index is filled from what the table holds, which takes its time.
_INDEXED = RetryPolicy(max_attempts=100_000, give_up_after_s=6 * 3600.0, first_delay_s=0.1, longest_delay_s=10.0)

# "UpdateTable", Errors: another change is under way. "UpdateContinuousBackups", Errors: backups are not yet enabled
# for a table made a moment ago. Elsewhere the first means that somebody holds what we want, so it is no Fault to retry.
_BUSY = ("ResourceInUseException", "ContinuousBackupsUnavailableException")


class Made(Struct, frozen=True):
    """What `create_table` did. `applied` names, by their paths, the settings and indexes switched on afterwards."""

    created: bool
    applied: tuple[str, ...]
    warnings: tuple[str, ...]  #: what the engine lacks


def create_table(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> Made:
    """Make the table be there, with its indexes and settings. Raises TargetError (table_mismatch) for other keys."""
    created = describe(client, definition.name, timing=timing) is None
    if created:
        ask(
            lambda: client.create_table(**create_request(definition)),
            f'create table "{definition.name}"',
            accept=("ResourceInUseException",),  # somebody else was faster; the keys are compared below
            timing=timing,
        )
    # The index of a table that is there may be filling up.
    policy = _CREATED if created else _INDEXED
    description = wait_until_active(client, definition.name, timing=timing, policy=policy)
    differences = fatal_differences(definition, description)
    if differences:
        raise mismatch_error(definition, differences)
    indexes = _add_missing_indexes(client, definition, description, timing)
    found = found_settings(client, description, expected_settings(definition), timing=timing)
    settings = _apply_missing(client, definition, description.get("TableArn"), found, timing)
    doubtful = {path: value for path, value in found.items() if path.split(".")[0] not in settings}
    return Made(created, (*indexes, *settings), tuple(lacking(definition, doubtful)))


def complete_imported(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> Made:
    """Give a table that an import has just made what an import cannot give it."""
    made = create_table(client, definition, timing=timing)
    differing = {difference.path for difference in compare(client, definition, timing=timing)}
    changes = [change for change in imported_changes(definition) if change.path in differing]
    applied = [change.path for change in changes if _make(client, definition.name, change, timing)]
    return replace(made, applied=(*made.applied, *applied))


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


# ---- a table that is there


def _add_missing_indexes(
    client: Any, definition: TableDefinition, description: Mapping[str, Any], timing: Timing
) -> list[str]:
    """UpdateTable takes one new index at a time."""
    present = {index["IndexName"] for index in description.get("GlobalSecondaryIndexes") or ()}
    added = []
    for index in definition.global_indexes:
        if index.name not in present:
            declared = [each["AttributeName"] for each in description["AttributeDefinitions"]]
            change = new_index(definition, index, declared)
            _ask_when_free(client, definition.name, change, timing)
            description = wait_until_active(client, definition.name, timing=timing, policy=_INDEXED)
            if any(each["IndexName"] == index.name for each in description.get("GlobalSecondaryIndexes") or ()):
                added.append(change.path)  # dynalite takes the request and does nothing
    return added


def _apply_missing(
    client: Any, definition: TableDefinition, arn: str | None, found: Mapping[str, Any], timing: Timing
) -> list[str]:
    """Switch on what the definition asks for and the table has not; which settings these were."""
    wanted = [change for change in changes(definition, arn) if _is_missing(change, definition, found)]
    return [change.path for change in wanted if _make(client, definition.name, change, timing)]


def _is_missing(change: Change, definition: TableDefinition, found: Mapping[str, Any]) -> bool:
    """Off here, and no other value either: another time to live or stream has to be taken away by its owner first."""
    if change.path == "tags":
        return any(found[f"tags.{name}"] != value for name, value in definition.tags)
    # An operation of its own can be tried where it is in doubt; UpdateTable would refuse a parameter it does not know.
    off = (None, False) if change.operation == "UpdateTable" else (None, False, LACKING)
    return found[change.path] in off


def _make(client: Any, name: str, change: Change, timing: Timing) -> bool:
    """Make a change; whether the engine knows such a change."""
    answer = _ask_when_free(client, name, change, timing)
    if change.operation == "UpdateTable":
        wait_until_active(client, name, timing=timing)
    return answer is not LACKING


def _ask_when_free(client: Any, name: str, change: Change, timing: Timing) -> Any:
    doing = f'set {change.path} of table "{name}"'
    patience = Patience(_CREATED, timing.clock)
    while True:
        try:
            return ask_optional(client, xform_name(change.operation), doing, timing, policy=START, **change.parameters)
        except TargetError as error:
            busy = error.__cause__ is not None and error_code(error.__cause__) in _BUSY
            delay_s = patience.delay_s(Verdict.THROTTLED) if busy else None
            if delay_s is None:
                raise
        pause(delay_s, timing)
