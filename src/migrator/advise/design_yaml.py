"""A design as files: mapping.yaml and plan.yaml, with the reason of each decision beside it."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from migrator.advise.design import (
    Asked,
    Design,
    Embedding,
    EntityDesign,
    IndexDesign,
    KeyDesign,
    LeftOut,
    PatternDesign,
    TableDesign,
)
from migrator.advise.shown import printable
from migrator.yamlfile import scalar

_LINE = 118
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLAIN_NAME = re.compile(rf"{_PLAIN.pattern}(?: [A-Za-z0-9_.-]+)*")
_ESCAPED = {'"': '\\"', "\\": "\\\\"}


def text(value: str) -> str:
    """A text as YAML takes it anywhere, also inside of braces.

    >>> print(text("users"), text("true"), text("a: {b}"), text("${x}"), text("a\\x7f"))
    users "true" "a: {b}" "$${x}" "a\\U0000007F"
    """
    if _PLAIN.fullmatch(value) and not _means_more(value):
        return value
    return quoted(value.replace("${", "$${"))


def name(value: str) -> str:
    """A text as a key of a map: it is text whatever it looks like, and no variables are filled in there.

    >>> name("Album of Artist"), name("a: b")
    ('Album of Artist', '"a: b"')
    """
    return value if _PLAIN_NAME.fullmatch(value) and not _means_more(value) else quoted(value)


def _means_more(value: str) -> bool:
    """To our reader, or to an editor that still reads YAML 1.1."""
    return not isinstance(scalar(value), str) or value.lower() in ("yes", "no", "on", "off", "y", "n")


def quoted(value: str) -> str:
    if '"' in value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_ESCAPED.get(c) or (c if c.isprintable() else f"\\U{ord(c):08X}") for c in value) + '"'


def comment(words: str, indent: str = "") -> list[str]:
    """Lines of a comment; a name in it may hold anything."""
    return textwrap.wrap(
        printable(words),
        _LINE,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}#   ",
        break_on_hyphens=False,
    )


def design_files(design: Design, folder: Path) -> dict[str, str]:
    """Path below `folder` -> text. The plan comes last: when it is there, what it names is there."""
    if design.style == "single-table":
        mappings = {"mapping.yaml": mapping_text(design, design.tables[0])}
    else:
        mappings = {f"mappings/{table.name}.yaml": mapping_text(design, table) for table in design.tables}
    return {**mappings, "plan.yaml": plan_text(design, folder, list(mappings))}


# ---- the plan


def plan_text(design: Design, folder: Path, mappings: Sequence[str]) -> str:
    """A plan for files in `folder`: it names its source from there, and no target."""
    source = os.path.relpath(design.source, folder)  # as a plan is read: by names, whatever is linked
    lines = [
        "# The AWS settings decide where the table is; --local needs none.",
        "version: 1",
        f"name: {text(plan_name(Path(design.source).stem))}",
        f"source: {text(source)}",
        f"mappings: [{', '.join(map(text, mappings))}]",
    ]
    return "\n".join(lines) + "\n"


def plan_name(stem: str) -> str:
    """A file's name as a plan may be called: it names a folder too.

    >>> plan_name("shop"), plan_name(".hidden")
    ('shop', 'hidden')
    """
    printed = "".join(c if c.isprintable() and c != "/" else "_" for c in stem).lstrip(".")
    return printed.encode()[:100].decode(errors="ignore") or "migration"


# ---- a mapping


def mapping_text(design: Design, table: TableDesign) -> str:
    return "\n".join(_mapping(design, table)) + "\n"


def _mapping(design: Design, table: TableDesign) -> Iterator[str]:
    yield from _left_out(design.left_out)
    yield "version: 1"
    yield from _table(table)
    yield ""
    yield "entities:" if table.entities else "entities: {}"
    for entity in table.entities:
        yield from _entity(entity, {key.name for key in table.keys})
    if table.patterns:
        yield "access_patterns:"
        for pattern in table.patterns:
            yield from _pattern(pattern)


def _left_out(tables: Sequence[LeftOut]) -> Iterator[str]:
    for table in tables:
        yield from comment(f"{table.kind} {text(table.name)} has no entity: {table.reason}")
    views = [table for table in tables if table.kind == "view" and table.readable]
    if views:
        yield from comment(
            "A view's rows can be taken too, with columns that tell them apart:"
            f" source: {{table: {text(views[0].name)}, key: […]}}"
        )
    if tables:
        yield ""


def _table(table: TableDesign) -> Iterator[str]:
    yield "table:"
    yield f"  name: {text(table.name)}"
    for what, key in zip(("partition_key", "sort_key"), table.keys, strict=False):
        yield f"  {what}: {_key(key)}"
    if table.indexes:
        yield "  global_indexes:"
        yield from (f"    {name(index.name)}: {_index(index)}" for index in table.indexes)
    yield "  billing_mode: PAY_PER_REQUEST"
    if table.time_to_live:
        yield f"  time_to_live: {text(table.time_to_live)}"
    for reason in table.reasons:
        yield from comment(reason, "  ")


def _key(key: KeyDesign) -> str:
    return text(key.name) if key.type == "S" else f"{{{name(key.name)}: {key.type}}}"


def _index(index: IndexDesign) -> str:
    sort = f", sort_key: {_key(index.sort_key)}" if index.sort_key else ""
    return f"{{partition_key: {_key(index.partition_key)}{sort}}}"


def _entity(entity: EntityDesign, table_keys: set[str]) -> Iterator[str]:
    yield from comment(f"{entity.rows:,} rows" if entity.rows != 1 else "1 row", "  ")
    for reason in entity.reasons:
        yield from comment(reason, "  ")
    for code, rows in entity.rejects:
        yield from comment(f"{rows:,} will be rejected: {code}", "  ")
    yield f"  {name(entity.name)}:"
    yield f"    source: {text(entity.source)}"
    if len(entity.items) == 1:
        yield from _item(entity, 0, "    ")
    else:
        yield "    items:"
        for number in range(len(entity.items)):
            first, *rest = _item(entity, number, "        ")
            yield f"      - {first.strip()}"
            yield from rest
    if entity.left_out:
        yield f"    columns: {{except: [{', '.join(map(text, entity.left_out))}]}}"
    for offer in entity.offers:
        yield from _offer(offer)
    yield ""


def _item(entity: EntityDesign, number: int, indent: str) -> Iterator[str]:
    yield f"{indent}key:"
    yield from (f"{indent}  {name(key)}: {text(template)}" for key, template in entity.items[number].key)
    if entity.attributes:
        yield f"{indent}attributes:"
        yield from (f"{indent}  {name(attribute)}: {text(value)}" for attribute, value in entity.attributes)


def _offer(offer: Embedding) -> Iterator[str]:
    yield from comment(f"or inside of it, as a list under attributes: ({offer.reason})", "    ")
    attributes = ", ".join(f"{name(attribute)}: {text(value)}" for attribute, value in offer.attributes)
    match = ", ".join(f"{name(child)}: {text(parent)}" for child, parent in offer.match)
    yield f"    #   {name(offer.attribute)}:"
    yield f"    #     list: {{source: {text(offer.source)}, match: {{{match}}}, attributes: {{{attributes}}}}}"


def _pattern(pattern: PatternDesign) -> Iterator[str]:
    yield f"  {name(pattern.name)}:"
    yield f"    entity: {text(pattern.entity)}"
    if pattern.index:
        yield f"    index: {text(pattern.index)}"
    yield f"    key: {{{', '.join(map(_asked, pattern.key))}}}"
    if pattern.sql:
        yield f"    sql: {text(pattern.sql)}"


def _asked(asked: Asked) -> str:
    template = text(asked.template)
    return (
        f"{name(asked.attribute)}: {{begins_with: {template}}}"
        if asked.begins_with
        else f"{name(asked.attribute)}: {template}"
    )
