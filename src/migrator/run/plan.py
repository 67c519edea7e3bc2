"""A plan file: YAML -> Plan, with the mappings it names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from migrator.errors import DocumentError, Problem, known_names
from migrator.mapping.document import FIXED_ITEMS, load_mapping, read_version
from migrator.mapping.model import Mapping, TableDefinition
from migrator.mapping.templates import BUILTINS
from migrator.node import Node, describe, read_document
from migrator.run.settings import SETTINGS, Settings, default_settings, read_settings
from migrator.source.paths import COMPANIONS, is_remote, require_key
from migrator.target.session import TargetSettings
from migrator.yamlfile import Filled, load_yaml

PLAN_KEYS = ("version", "name", "source", "source_pattern", "mappings", "entities", "target", "settings")
TARGET_KEYS = ("region", "endpoint_url", "profile", "role_arn")
#: How a mapping calls what its definition calls otherwise.
_SETTINGS = {"capacity": "billing_mode", "kms_key": "encryption"}


class Plan(Struct, frozen=True):
    file: str  #: as messages name it
    name: str
    #: absolute paths, where a glob that finds nothing stands as it is, and opening it fails; s3:// as written, which
    #: is looked into when a run opens
    sources: tuple[str, ...]
    mappings: tuple[Mapping, ...]
    entities: tuple[str, ...] | None  #: only these, in this order
    target: TargetSettings
    settings: Settings
    source_pattern: str | None = None  #: a regular expression; what its named groups find in a path, templates know
    via: str | None = None  #: of the command line: the folder or the s3:// prefix where files for an import are put
    cluster: str | None = None  #: of the command line: the Dask cluster that does the work

    @property
    def entity_names(self) -> tuple[str, ...]:
        """What a run does, in order; the fixed items of all mappings are the entity `items`."""
        if self.entities is not None:
            return tuple(self.entities)
        fixed = (FIXED_ITEMS,) if any(mapping.fixed_items for mapping in self.mappings) else ()
        return (*fixed, *(entity.name for mapping in self.mappings for entity in mapping.entities))

    @property
    def source_groups(self) -> tuple[str, ...]:
        """The named groups of `source_pattern`, which templates know as @NAME."""
        return tuple(re.compile(self.source_pattern or "").groupindex)

    def by_way_of(self, via: str | None) -> Plan:
        """The plan with its items put in files there; None: sent to their tables."""
        return replace(self, via=via)


def load_plan(path: str | Path) -> Plan:
    """Read a plan and its mappings. Raises DocumentError with the problems of all of them."""
    return read_document(load_yaml(path), _read_plan)


def _read_plan(node: Node) -> Plan:
    if isinstance(node.value, dict) and "table" in node.value and "mappings" not in node.value:
        node.refuse("this is a mapping", "name the plan that lists it under mappings:")
    fields = node.fields(*PLAN_KEYS, below={"settings": SETTINGS, "target": TARGET_KEYS})
    fields.get("version", read_version, 1)
    name = fields.need("name", _name)
    sources = fields.need("source", _sources)
    source_pattern = fields.get("source_pattern", _source_pattern, None)
    mappings = fields.need("mappings", _mappings)
    target = fields.get("target", _target, {})
    settings, session = fields.get("settings", read_settings, default_settings(node))
    entities = fields.get("entities", lambda n: _entities(n, mappings), None) if mappings else None
    fields.finish()
    return Plan(
        file=node.document.file,
        name=name,
        sources=sources,
        mappings=mappings,
        entities=entities,
        target=TargetSettings(**target, **session),
        settings=settings,
        source_pattern=source_pattern,
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


def _paths(node: Node, read: Callable[[Node], str] = Node.path_from_document) -> tuple[str, ...]:
    """One path or a list of them."""
    paths = (read(node),) if isinstance(node.value, str) else node.each(read)
    if not paths:
        node.refuse("names no file")
    return paths


def _sources(node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for named in _paths(node, _source) for path in _expand(named)))


def _source(node: Node) -> str:
    """A path, from the plan's folder, or what S3 knows."""
    if not isinstance(node.value, str) or not is_remote(node.value):
        return node.path_from_document()
    try:
        return require_key(node.text())
    except ValueError as error:
        node.refuse(str(error), "name a file, as s3://bucket/shop.sqlite, or several, as s3://bucket/tenants/*.sqlite")


def _expand(path: str) -> list[str]:
    """The files that a glob finds; a path that is there, or finds nothing, as it is, and so what is not here."""
    if is_remote(path) or os.path.exists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p) and not p.endswith(COMPANIONS))
    return found or [path]


def _source_pattern(node: Node) -> str:
    text = node.text()
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        node.refuse(f"is no regular expression: {error}")
    if not groups:
        node.refuse("names no group", "write (?P<tenant>…) around what templates are to know as {@tenant}")
    for name in groups:
        if name in BUILTINS:
            node.note(f'the name "{name}" is taken: templates know @{name} already', "give the group another name")
    return text


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
    for name in TableDefinition.__struct_fields__:
        if getattr(one, name) != getattr(other, name):
            yield _SETTINGS.get(name, name)


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
