"""A plan file: YAML -> Plan, with the mappings it names."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from migrator import limits
from migrator.errors import DocumentError, Problem, known_names
from migrator.mapping.document import FIXED_ITEMS, load_mapping, read_version
from migrator.mapping.model import Mapping, TableDefinition
from migrator.node import Node, describe, read_document
from migrator.run.durations import read_duration, read_positive_duration
from migrator.run.increments import Incremental, read_incremental
from migrator.run.unattended import Command, Metrics, read_command, read_metrics
from migrator.target.backoff import RetryPolicy
from migrator.target.session import TargetSettings
from migrator.yamlfile import Filled, load_yaml

PLAN_KEYS = ("version", "name", "source", "mappings", "entities", "target", "settings")
TARGET_KEYS = ("region", "endpoint_url", "profile", "role_arn")
#: Files that SQLite keeps beside a database: a glob such as shop.sqlite* finds them, too.
_COMPANIONS = ("-wal", "-shm", "-journal")
#: How a mapping calls what its definition calls otherwise.
_SETTINGS = {"capacity": "billing_mode", "kms_key": "encryption"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run. The defaults are the documented ones."""

    create_table: Literal["if_missing", "never"] = "if_missing"
    batch_size: int = limits.BATCH_ITEMS
    parallelism: int = 1  #: worker processes
    write_rate: int | None = None  #: write capacity units a second over all workers
    validate: bool = True
    on_reject: Literal["continue", "stop"] = "continue"
    max_rejects: int | None = None
    on_existing: Literal["replace", "skip", "error"] = "replace"
    on_changed: Literal["refuse", "restart"] = "refuse"
    incremental: Incremental | None = None
    backup: bool | str = False  #: True, or the backup's name
    rollback: bool = False
    verify: Literal["none", "sample", "full"] = "none"
    integrity_check: Literal["full", "off"] = "full"
    max_duration_s: float | None = None
    lock_wait_s: float = 0.0
    give_up_after_s: float = 300.0
    max_attempts: int = 10
    keep_runs: int = 30
    state_dir: str = ".migrator"  #: absolute in a loaded plan
    on_start: Command | None = None
    on_success: Command | None = None
    on_failure: Command | None = None
    hook_timeout_s: float = 60.0
    metrics: Metrics = Metrics()  # noqa: RUF009  # frozen

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(self.max_attempts, self.give_up_after_s)


@dataclass(frozen=True, slots=True)
class Plan:
    file: str  #: as messages name it
    name: str
    sources: tuple[str, ...]  #: absolute; a glob that finds nothing stands as it is, and opening it fails
    mappings: tuple[Mapping, ...]
    entities: tuple[str, ...] | None  #: only these, in this order
    target: TargetSettings
    settings: Settings
    via: str | None = None  #: of the command line: the folder or the s3:// prefix where files for an import are put
    cluster: str | None = None  #: of the command line: the Dask cluster that does the work

    @property
    def entity_names(self) -> tuple[str, ...]:
        """What a run does, in order; the fixed items of all mappings are the entity `items`."""
        if self.entities is not None:
            return tuple(self.entities)
        fixed = (FIXED_ITEMS,) if any(mapping.fixed_items for mapping in self.mappings) else ()
        return (*fixed, *(entity.name for mapping in self.mappings for entity in mapping.entities))

    def by_way_of(self, via: str | None) -> Plan:
        """The plan with its items put in files there; None: sent to their tables."""
        return replace(self, via=via)


def load_plan(path: str | Path) -> Plan:
    """Read a plan and its mappings. Raises DocumentError with the problems of all of them."""
    return read_document(load_yaml(path), _read_plan)


def _read_plan(node: Node) -> Plan:
    if isinstance(node.value, dict) and "table" in node.value and "mappings" not in node.value:
        node.refuse("this is a mapping", "name the plan that lists it under mappings:")
    fields = node.fields(*PLAN_KEYS)
    fields.get("version", read_version, 1)
    name = fields.need("name", _name)
    sources = fields.need("source", _sources)
    mappings = fields.need("mappings", _mappings)
    target = fields.get("target", _target, {})
    settings = fields.get("settings", _settings, _settings_of(node, {}))
    entities = fields.get("entities", lambda n: _entities(n, mappings), None) if mappings else None
    fields.finish()
    session = {key: settings.pop(key) for key in _SESSION_KEYS if key in settings}
    return Plan(
        file=node.document.file,
        name=name,
        sources=sources,
        mappings=mappings,
        entities=entities,
        target=TargetSettings(**target, **session),
        settings=Settings(**settings),
    )


def _name(node: Node) -> str:
    """The plan's name; also that of its folder of state."""
    name = node.text()
    if not name.isprintable() or "/" in name or name.startswith(".") or len(name.encode()) > 100:
        node.refuse(f"{describe(name)} cannot name a folder: no /, no . at its start, at most 100 bytes")
    return name


def _target(node: Node) -> dict[str, Any]:
    fields = node.fields(*TARGET_KEYS)
    target: dict[str, Any] = {key: fields.get(key, _text_or_nothing, None) for key in TARGET_KEYS}
    fields.finish()
    return target


def _text_or_nothing(node: Node) -> str | None:
    """Text; nothing where a variable leaves it open, as in ${ENDPOINT:-}."""
    return None if isinstance(node.value, Filled) and not node.value else node.text()


# ---- paths


def _paths(node: Node) -> tuple[str, ...]:
    """One path or a list of them."""
    paths = (node.path_from_document(),) if isinstance(node.value, str) else node.each(Node.path_from_document)
    if not paths:
        node.refuse("names no file")
    return paths


def _sources(node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for named in _paths(node) for path in _expand(named)))


def _expand(path: str) -> list[str]:
    """The files that a glob finds; a path that is there, or finds nothing, as it is."""
    if os.path.exists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p) and not p.endswith(_COMPANIONS))
    return found or [path]


def _mappings(node: Node) -> tuple[Mapping, ...]:
    mappings: list[Mapping] = []
    problems: list[Problem] = []
    for path in dict.fromkeys(_paths(node)):
        try:
            mappings.append(load_mapping(path))
        except DocumentError as error:
            problems.extend(error.problems)
    node.problems.extend(problems)
    if not problems:
        _check_together(node, mappings)
    return tuple(mappings)


def _check_together(node: Node, mappings: list[Mapping]) -> None:
    """Entity names are unique over all mappings; a table is defined one way."""
    entities: dict[str, str] = {}
    tables: dict[str, Mapping] = {}
    for mapping in mappings:
        for entity in mapping.entities:
            if entity.name in entities:
                node.note(f'entity "{entity.name}" is in {entities[entity.name]} and in {mapping.file}', "rename one")
            entities.setdefault(entity.name, mapping.file)
        first = tables.setdefault(mapping.table.name, mapping)
        if first.table != mapping.table:
            node.note(
                f'table "{mapping.table.name}" is defined in two ways, in {first.file} and {mapping.file}',
                f"they differ in {', '.join(_differing(first.table, mapping.table))}",
            )


def _differing(one: TableDefinition, other: TableDefinition) -> Iterator[str]:
    """The settings that two definitions of a table do not share."""
    for field in fields(TableDefinition):
        if field.compare and getattr(one, field.name) != getattr(other, field.name):
            yield _SETTINGS.get(field.name, field.name)


def _entities(node: Node, mappings: tuple[Mapping, ...]) -> tuple[str, ...]:
    known = [entity.name for mapping in mappings for entity in mapping.entities]
    known += [FIXED_ITEMS] if any(mapping.fixed_items for mapping in mappings) else []
    names = node.each(Node.text)
    for n, name in enumerate(names):
        if name not in known:
            node.note(f'entity "{name}" is in no mapping', known_names("entities", known, name), at=n)
        elif name in names[:n]:
            node.note(f'entity "{name}" is named twice', at=n)
    if not names:
        node.refuse("names no entity", "without entities: all are run")
    return names


# ---- settings


def _choice(*allowed: str) -> Callable[[Node], str]:
    return lambda node: node.choice(*allowed)


def _whole(low: int, high: int | None = None) -> Callable[[Node], int]:
    return lambda node: node.integer(low, high)


def _backup(node: Node) -> bool | str:
    if not isinstance(node.value, dict):
        return node.boolean()
    fields = node.fields("name")
    name = fields.need("name", Node.text)
    fields.finish()
    return name


#: A setting -> where it goes, and how it is read. The last three are of the connection.
SETTINGS: dict[str, tuple[str, Callable[[Node], Any]]] = {
    "create_table": ("create_table", _choice("if_missing", "never")),
    "batch_size": ("batch_size", _whole(1, limits.BATCH_ITEMS)),
    "parallelism": ("parallelism", _whole(1, 256)),
    "write_rate": ("write_rate", _whole(1)),
    "validate": ("validate", Node.boolean),
    "on_reject": ("on_reject", _choice("continue", "stop")),
    "max_rejects": ("max_rejects", _whole(0)),
    "on_existing": ("on_existing", _choice("replace", "skip", "error")),
    "on_changed": ("on_changed", _choice("refuse", "restart")),
    "incremental": ("incremental", read_incremental),
    "backup": ("backup", _backup),
    "rollback": ("rollback", Node.boolean),
    "verify": ("verify", _choice("none", "sample", "full")),
    "integrity_check": ("integrity_check", _choice("full", "off")),
    "max_duration": ("max_duration_s", read_positive_duration),
    "lock_wait": ("lock_wait_s", read_duration),
    "give_up_after": ("give_up_after_s", read_positive_duration),
    "max_attempts": ("max_attempts", _whole(1)),
    "keep_runs": ("keep_runs", _whole(1)),
    "state_dir": ("state_dir", Node.path_from_document),
    "on_start": ("on_start", read_command),
    "on_success": ("on_success", read_command),
    "on_failure": ("on_failure", read_command),
    "hook_timeout": ("hook_timeout_s", read_positive_duration),
    "metrics": ("metrics", read_metrics),
    "connect_timeout": ("connect_timeout_s", read_positive_duration),
    "read_timeout": ("read_timeout_s", read_positive_duration),
    "connections": ("connections", _whole(1, 1024)),
}
_SESSION_KEYS = ("connect_timeout_s", "read_timeout_s", "connections")


def _settings(node: Node) -> dict[str, Any]:
    fields = node.fields(*SETTINGS)
    given = {field: fields.get(key, read, None) for key, (field, read) in SETTINGS.items() if key in fields}
    if given.get("incremental") and given.get("on_existing", "replace") != "replace":
        fields.fail(
            f"incremental does not go with on_existing: {given['on_existing']}",
            "an item that changed takes the place of the one that is there: leave on_existing out",
        )
    fields.finish()
    return _settings_of(node, given)


def _settings_of(node: Node, given: dict[str, Any]) -> dict[str, Any]:
    state_dir = str(node.document.path.parent / ".migrator")
    return {"parallelism": len(os.sched_getaffinity(0)), "state_dir": state_dir, **given}
