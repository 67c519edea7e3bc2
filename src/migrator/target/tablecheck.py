"""The table as it is against the table as the mapping defines it.

Both are flattened to `{path: words}` and compared line by line, so a new setting is one line in each.
A path that an engine does not report at all is a thing it lacks, and no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.errors import TargetError
from migrator.mapping.model import TableDefinition
from migrator.target.backoff import REAL_TIME, Timing
from migrator.target.tablefound import LACKING, describe, found_keys, found_settings
from migrator.target.tablewords import expected_keys, expected_settings

_USABLE = ("ACTIVE", "UPDATING")
_KEY_TYPE = re.compile(r" \([SNB?]\)")


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
    expected, found = expected_keys(definition), found_keys(description)
    status = description.get("TableStatus", "ACTIVE")
    return [
        *([] if status in _USABLE else [Difference("status", "ACTIVE", status, True)]),
        *(
            Difference(path, expected.get(path), found.get(path), True)
            for path in dict.fromkeys((*expected, *found))
            # An index that only one side has breaks no write; `compare` names it.
            if not _same_words(expected.get(path), found.get(path))
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


def _equal(path: str, expected: Any, found: Any) -> bool:
    if path == "encryption":
        return _same_key(expected, found)
    if path == "warm_throughput":
        return found is not None and all(int(a) <= int(b) for a, b in zip(_units(expected), _units(found), strict=True))
    return _same_words(expected, found)


def _same_words(expected: Any, found: Any) -> bool:
    """moto forgets the types of an index that was added later, and `tablefound` writes them as (?)."""
    if isinstance(expected, str) and isinstance(found, str) and "(?)" in found:
        return _KEY_TYPE.sub("", expected) == _KEY_TYPE.sub("", found)
    return bool(expected == found)


def _same_key(expected: str, found: Any) -> bool:
    """A table reports its key's ARN. An alias cannot be followed without KMS, so any key counts for it."""
    is_alias = expected.startswith("alias/") or ":alias/" in expected
    return found is not None and (is_alias or str(found).endswith(expected))


def _units(text: str) -> list[str]:
    return [part for part in text.replace("/", " ").split() if part.isdigit()]
