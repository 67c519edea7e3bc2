"""What each command does with a plan's tables, for `migrator iam`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from migrator.mapping.document import FIXED_ITEMS
from migrator.mapping.model import Mapping as TableMapping
from migrator.run.plan import Plan
from migrator.run.settings import Settings
from migrator.source.paths import bucket_and_key, is_remote, literal_prefix
from migrator.target.permissions import Grant, Place, Subject, fetch_grants, policy


def plan_policy(plan: Plan, commands: Sequence[str], account: str | None) -> dict[str, Any]:
    """The smallest IAM policy with which these commands do all that the plan asks for. Raises TargetError."""
    place = Place.of(plan.target, account)
    needs = (
        (purpose, subject)
        for command in commands
        for purpose in COMMANDS[command](plan.settings)
        for subject in _subjects(plan, command, place)
    )
    reads = any(not command.startswith("table ") for command in commands)
    return policy(needs, _fetched(plan, place) if reads else ())


def _fetched(plan: Plan, place: Place) -> Iterator[Grant]:
    """The sources that are in S3."""
    for bucket, key in (bucket_and_key(source) for source in plan.sources if is_remote(source)):
        yield from fetch_grants(place, bucket, literal_prefix(key))


def _subjects(plan: Plan, command: str, place: Place) -> Iterator[Subject]:
    """The tables that the command works on, each once: several mappings may fill one."""
    names = frozenset(plan.entity_names)
    # `migrator table …` knows no entities.
    used = [mapping for mapping in plan.mappings if command.startswith("table ") or _is_used(mapping, names)]
    for definition in dict.fromkeys(mapping.table for mapping in used):
        patterns = (pattern for mapping in used if mapping.table == definition for pattern in mapping.access_patterns)
        yield Subject(place, definition, tuple(pattern for pattern in patterns if pattern.entity in names))


def _is_used(mapping: TableMapping, names: frozenset[str]) -> bool:
    if FIXED_ITEMS in names and mapping.fixed_items:
        return True
    return any(entity.name in names for entity in mapping.entities)


def _run(settings: Settings) -> Iterator[str]:
    yield "Look"
    if settings.create_table == "if_missing":
        yield "Create"
    if settings.backup:
        yield "BackUp"
    if settings.rollback:
        yield "KeepReplaced"
    yield from _write(settings)
    yield from _VERIFICATIONS[settings.verify]


def _write(settings: Settings) -> Iterator[str]:
    yield "UseKey"
    yield "Write" if settings.on_existing == "replace" else "WriteIfFree"


def _retry(settings: Settings) -> Iterator[str]:
    yield "Look"
    yield from _write(settings)


def _rollback(settings: Settings) -> Iterator[str]:
    yield from ("Find", "UseKey", "TakeBack")
    if not settings.rollback:
        # Only a run that saw its table empty can be taken back then. A run that may not look goes on without.
        yield "FindEmpty"


#: What a `verify:` setting adds to a run.
_VERIFICATIONS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "sample": ("CompareSample", "Ask"),
    "full": ("CompareAll", "Ask"),
}

#: Command -> its purposes, names of `target.permissions.PURPOSES`.
COMMANDS: Mapping[str, Callable[[Settings], Iterator[str]]] = {
    "run": _run,
    "verify": lambda _: iter(("Look", "UseKey", *_VERIFICATIONS["full"])),
    "check": lambda _: iter(("Look",)),
    "retry": _retry,
    "rollback": _rollback,
    "table create": lambda _: iter(("LookClosely", "Create", "Change")),
    "table show": lambda _: iter(("LookClosely",)),
    "table check": lambda _: iter(("Look",)),
    "table clear": lambda _: iter(("Find", "UseKey", "Clear")),
}
