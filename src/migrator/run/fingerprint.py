"""What must not change while a run is unfinished, as digests by the name that a person knows it by.

Half a table by one mapping and half by another is worse than none. Settings that say how fast or how patiently a run
works may change, and so may comments: documents are compared as they were understood.
Digests only: an address or a mapping may hold what nobody wants in a state file.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from migrator import __version__
from migrator.run.lock import last_taken
from migrator.run.plan import Plan
from migrator.target.session import TargetSettings

#: The settings that decide what is written.
GUARDED_SETTINGS = ("on_existing", "validate", "rollback")
#: Items that went another way are in another place.
VIA = "--via"


def plan_guards(plan: Plan, names: Sequence[str]) -> dict[str, str]:
    """Of the documents and the command line; `names` are those of `--entity`."""
    found: dict[str, Any] = {
        # Another version may render otherwise.
        "the version of migrator": __version__,
        # It decides the order of a query's rows where their keys leave it open.
        "the version of SQLite": sqlite3.sqlite_version,
        "the entities that are run": [name for name in plan.entity_names if not names or name in names],
        **{f"settings.{name}": getattr(plan.settings, name) for name in GUARDED_SETTINGS},
        # What it may delete can be changed until it does.
        "settings.incremental": plan.settings.incremental and plan.settings.incremental.name,
        **({VIA: plan.via} if plan.via else {}),
        **({"source_pattern": plan.source_pattern} if plan.source_pattern else {}),
        **dict(_mappings(plan)),
    }
    return {what: _digest(value) for what, value in found.items()}


def verification_guards(plan: Plan, names: Sequence[str], sample: int | None) -> dict[str, str]:
    """The same for a verification, whose items are to be those that the last run left."""
    patterns = (pattern for mapping in plan.mappings for pattern in mapping.access_patterns)
    return plan_guards(plan, names) | {
        "--sample": _digest(sample),
        # They decide whether the items are looked at one by one.
        "which entities have access patterns": _digest(sorted({pattern.entity for pattern in patterns})),
        "what is in the tables: the plan was run, or its tables cleared": _digest(
            last_taken(plan.settings.state_dir, plan.name)
        ),
    }


def _mappings(plan: Plan) -> Iterator[tuple[str, Any]]:
    """By file name alone: messages name files from the current folder, and that may be another one."""
    for name in dict.fromkeys(Path(mapping.file).name for mapping in plan.mappings):
        # Access patterns are asked by `verify`, and decide nothing about what is written.
        yield (
            f"the mapping {name}",
            [replace(m, file="", access_patterns=()) for m in plan.mappings if Path(m.file).name == name],
        )


def target_digest(target: TargetSettings, client: Any) -> str:
    """Of the place that the tables are in. Whose tables they are, their ids tell."""
    return _digest("local" if target.local else (client.meta.endpoint_url, client.meta.region_name))


def table_identity(description: Mapping[str, Any]) -> str:
    """What tells a table from one that was made anew under its name."""
    # Not every engine gives ids; a local one keeps the time of creation with its tables.
    created: datetime | None = description.get("CreationDateTime")
    return str(description.get("TableId") or (created.timestamp() if created else ""))


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names whose digests differ.

    >>> changed({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "3", "d": "4"})
    ['b', 'c', 'd']
    """
    return [what for what in dict.fromkeys((*before, *now)) if before.get(what) != now.get(what)]


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogatepass")).hexdigest()
