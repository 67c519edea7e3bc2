"""Propose a DynamoDB design for a SQLite file: `migrator suggest`. Every table gets an entity that reads every row.

What is proposed is bound to the source's schema before anybody sees it, and rows that may be beyond DynamoDB's item
size are rendered, so that what a run will reject is told beforehand.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from migrator.advise.design import Design, EntityDesign, Style, TableDesign
from migrator.advise.design_yaml import mapping_text
from migrator.advise.suggest_entities import left_out
from migrator.advise.suggest_facts import HEAVY_BYTES
from migrator.advise.suggest_single import single_table
from migrator.advise.suggest_source import Source, read_source
from migrator.advise.suggest_tables import table_per_entity
from migrator.errors import RowRejected
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.document import read_mapping
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import Entity, TableDefinition
from migrator.mapping.reads import to_read
from migrator.mapping.render import EntityRenderer
from migrator.source.connection import connect
from migrator.source.integrity import check_integrity
from migrator.source.read import WHOLE
from migrator.source.reflection import reflect_schema
from migrator.source.relation import balanced, quote
from migrator.source.rows import iter_rows
from migrator.source.schema import Schema
from migrator.source.snapshot import release, take_snapshot
from migrator.yamlfile import parse_yaml

_STYLES = {"single-table": single_table, "table-per-entity": table_per_entity}


def suggest_file(path: str | Path, table_name: str, style: Style = "single-table") -> Design:
    """A design for a file. Raises SourceError where it is missing, damaged or locked."""
    snapshot = take_snapshot(path)
    try:
        with connect(snapshot) as connection:
            check_integrity(connection, snapshot.path)
            return suggest(connection, reflect_schema(connection, snapshot.path), table_name, style)
    finally:
        release(snapshot)


def suggest(connection: Connection, schema: Schema, table_name: str, style: Style = "single-table") -> Design:
    """A design for a file that is open."""
    source = read_source(connection, schema, int(time.time()))
    tables = _STYLES[style](source, table_name)
    design = Design(schema.path, style, tuple(tables), tuple(left_out(source)))
    return replace(design, tables=tuple(_tried(connection, source, design, table) for table in design.tables))


# ---- what will be rejected


def _tried(connection: Connection, source: Source, design: Design, table: TableDesign) -> TableDesign:
    """The table's design, held against the source: it binds, and rows that are too large for an item are counted."""
    document = parse_yaml(mapping_text(design, table), Path(f"{table.name}.yaml").absolute())
    mapping = bind(read_mapping(document), source.schema, connection)
    bound = {entity.name: entity for entity in mapping.entities}
    tried = tuple(_with_rejects(connection, source, e, bound[e.name], mapping.table) for e in table.entities)
    # A question that no item answers shows nothing and would fail.
    silent = {entity.name for entity in tried if sum(n for _, n in entity.rejects) == entity.rows}
    return replace(table, entities=tried, patterns=tuple(p for p in table.patterns if p.entity not in silent))


def _with_rejects(
    connection: Connection, source: Source, entity: EntityDesign, bound: Entity, table: TableDefinition
) -> EntityDesign:
    facts = source.facts[entity.source]
    if not facts.heavy:
        return entity
    # A row of that size has a value of its share at least; halved, since UTF-16 may take fewer bytes than UTF-8.
    share = HEAVY_BYTES // (2 * len(facts.columns))
    large = [quote(column.name) for column in facts.columns if column.longest_bytes >= share]
    where = balanced([f"length(CAST({name} AS BLOB)) >= {share}" for name in large], "OR")
    read = replace(to_read(bound, partial(relation_of, schema=source.schema, connection=connection)), where=where)
    path = Path(source.schema.path)
    renderer = EntityRenderer(bound, read, table, RenderContext(0, path.name, path.stem))
    rejects: Counter[str] = Counter()
    for row in iter_rows(connection, read, WHOLE):
        try:
            renderer.render(row)
        except RowRejected as rejected:
            rejects[rejected.code] += 1
    return replace(entity, rejects=tuple(sorted(rejects.items())))
