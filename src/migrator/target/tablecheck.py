"""The table as it is against the table as the mapping defines it.

Both are flattened to `{path: words}` and compared line by line, so a new setting is one line in each.
A path that an engine does not report at all is a thing it lacks, and no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from migrator.errors import TargetError
from migrator.mapping.model import AWS_MANAGED, AWS_MANAGED_ALIAS, AWS_OWNED, TableDefinition
from migrator.target.backoff import REAL_TIME, Timing
from migrator.target.kms import FindKey, no_kms
from migrator.target.tablefound import LACKING, describe, found_keys, found_settings
from migrator.target.tablewords import expected_keys, expected_settings

_USABLE = ("ACTIVE", "UPDATING")
# What every table is unless told otherwise: an engine that is silent of it lacks nothing.
_UNLESS_TOLD = (False, "STANDARD", AWS_OWNED)
_KEY_TYPE = re.compile(r" \([SNB?]\)")


class Difference(Struct, frozen=True):
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


class Inspection(Struct, frozen=True):
    """A table looked at once: `description` is DescribeTable's, None where there is no such table."""

    definition: TableDefinition
    description: Mapping[str, Any] | None
    found: Mapping[str, Any]
    differences: tuple[Difference, ...]  #: the fatal ones first
    notes: tuple[str, ...] = ()  #: what could not be compared, and why

    def warnings(self) -> list[str]:
        """What the engine lacks of what the definition asks for, and what could not be compared."""
        return [f'table "{self.definition.name}": {note}' for note in self.notes] + lacking(self.definition, self.found)


def compare(client: Any, definition: TableDefinition, *, timing: Timing = REAL_TIME) -> list[Difference]:
    """Every difference between the table and its definition, the fatal ones first."""
    return list(inspect_table(client, definition, timing=timing).differences)


def inspect_table(
    client: Any,
    definition: TableDefinition,
    *,
    find_key: FindKey = no_kms,
    everything: bool = False,
    timing: Timing = REAL_TIME,
) -> Inspection:
    """Look at the table and compare. `everything` also asks for settings that the definition is silent about."""
    description = describe(client, definition.name, timing=timing)
    fatal = fatal_differences(definition, description)
    if description is None:
        return Inspection(definition, None, {}, tuple(fatal))
    expected = expected_settings(definition)
    found = found_settings(client, description, None if everything else expected, timing=timing)
    notes: list[str] = []
    named = {difference.path for difference in fatal}
    other = [
        Difference(path, expected.get(path), found.get(path))
        for path in (*expected, *(path for path in found if path not in expected and "_indexes." in path))
        if path not in named
        and found.get(path) is not LACKING
        and not _equal(path, expected.get(path), found.get(path), find_key, notes)
    ]
    return Inspection(definition, description, found, (*fatal, *other), tuple(notes))


def lacking(definition: TableDefinition, found: Mapping[str, Any]) -> list[str]:
    """One warning for each thing that the definition asks for and the engine has not."""
    names = dict.fromkeys(
        path.split(".")[0]
        for path, expected in expected_settings(definition).items()
        if found.get(path) is LACKING and expected not in _UNLESS_TOLD
    )
    return [
        f'table "{definition.name}": this engine has no {name.replace("_", " ")}; going on without it' for name in names
    ]


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
        f"table {definition.name} is not the one that the mapping describes:\n{lines}\n"
        "  Name another table in the mapping, or mend its table: block.",
        code="table_not_active" if not_active else "table_mismatch",
        retryable=not_active,
    )


# ---- when two are equal


def _equal(path: str, expected: Any, found: Any, find_key: FindKey, notes: list[str]) -> bool:
    if path != "encryption":
        return _SAME.get(path, _same_words)(expected, found)
    try:
        return _same_encryption(expected, found, find_key)
    except TargetError as error:
        notes.append(f"encryption by {expected} could not be compared: {str(error).splitlines()[0]}")
        return True


def _same_words(expected: Any, found: Any) -> bool:
    """moto forgets the types of an index that was added later, and `tablefound` writes them as (?)."""
    if isinstance(expected, str) and isinstance(found, str) and "(?)" in found:
        return _KEY_TYPE.sub("", expected) == _KEY_TYPE.sub("", found)
    return bool(expected == found)


def _at_least(expected: str, found: str | None) -> bool:
    """A table may be warmer than asked for: warmth grows with use and never falls."""
    return found is not None and all(int(a) <= int(b) for a, b in zip(_units(expected), _units(found), strict=True))


def _units(text: str) -> list[str]:
    return [part for part in text.replace("/", " ").split() if part.isdigit()]


_SAME: Mapping[str, Callable[[Any, Any], bool]] = {"warm_throughput": _at_least}


def _same_encryption(expected: str, found: str, find_key: FindKey) -> bool:
    """A table reports its key's ARN; only KMS tells what an alias stands for."""
    if AWS_OWNED in (expected, found):
        return expected == found
    named = AWS_MANAGED_ALIAS if expected == AWS_MANAGED else expected
    if named.startswith("alias/") or ":alias/" in named:
        return named == found or find_key(named) == found
    return found == named or found.endswith(f"/{named}")
