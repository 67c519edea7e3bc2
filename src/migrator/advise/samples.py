"""A few items of a suggested design, rendered from the source's own rows: what the table would look like."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy.engine import Connection

from migrator.advise.design import Design, TableDesign
from migrator.advise.design_yaml import mapping_text
from migrator.advise.model import SampleItem
from migrator.errors import RowRejected
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.document import read_mapping
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import Entity, TableDefinition
from migrator.mapping.reads import to_read
from migrator.mapping.render import EntityRenderer
from migrator.source.read import WHOLE
from migrator.source.rows import iter_rows
from migrator.source.schema import Schema
from migrator.yamlfile import parse_yaml

ROWS_AN_ENTITY = 2


def sample_items(
    connection: Connection, schema: Schema, design: Design, rows: int = ROWS_AN_ENTITY
) -> dict[str, tuple[SampleItem, ...]]:
    """Table of the design -> items of the first rows of each entity, item collections together."""
    return {table.name: tuple(_of_table(connection, schema, design, table, rows)) for table in design.tables}


def _of_table(
    connection: Connection, schema: Schema, design: Design, table: TableDesign, rows: int
) -> list[SampleItem]:
    document = parse_yaml(mapping_text(design, table), Path(f"{table.name}.yaml").absolute())
    mapping = bind(read_mapping(document), schema, connection)
    found = [
        sample for entity in mapping.entities for sample in _of_entity(connection, schema, entity, mapping.table, rows)
    ]
    return sorted(found, key=lambda sample: [str(sample.attributes[key.name]) for key in mapping.table.key_attributes])


def _of_entity(
    connection: Connection, schema: Schema, entity: Entity, table: TableDefinition, rows: int
) -> Iterator[SampleItem]:
    read = to_read(entity, partial(relation_of, schema=schema, connection=connection))
    path = Path(schema.path)
    renderer = EntityRenderer(entity, read, table, RenderContext(int(time.time()), path.name, path.stem))
    for row in islice(iter_rows(connection, read, WHOLE), rows):
        try:
            rendered = renderer.render(row)
        except RowRejected:
            continue  # the hazards tell of it
        yield from (SampleItem(entity.name, item.attributes) for _, item in rendered.items)
