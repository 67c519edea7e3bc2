"""What an item costs to write, in the table and in the indexes that it enters.

"Capacity unit consumption for write operations" — DynamoDB developer guide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from migrator.limits import WRITE_UNIT_BYTES
from migrator.mapping.canonical import item_size
from migrator.mapping.model import Attributes, IndexDefinition, TableDefinition


def write_units(attributes: Attributes, size_bytes: int, table: TableDefinition) -> int:
    """Units to put an item that was not there: one per started KB, for the table and for each index it enters.

    >>> from migrator.mapping.model import KeyAttribute
    >>> write_units({"PK": {"S": "a"}}, 1_025, TableDefinition("orders", KeyAttribute("PK")))
    2
    """
    if size_bytes <= WRITE_UNIT_BYTES:  # so is every projection of it: no need to measure them
        return 1 + sum(1 for _ in _entered(attributes, table))
    return sum(map(started_units, (size_bytes, *entry_sizes(attributes, size_bytes, table))))


def started_units(size_bytes: int) -> int:
    """
    >>> started_units(0), started_units(1_024), started_units(1_025)
    (1, 1, 2)
    """
    return max(1, math.ceil(size_bytes / WRITE_UNIT_BYTES))


def entry_sizes(attributes: Attributes, size_bytes: int, table: TableDefinition) -> list[int]:
    """Bytes of the entry in each index that the item enters."""
    return [_projected_bytes(attributes, size_bytes, index, table) for index in _entered(attributes, table)]


def _entered(attributes: Attributes, table: TableDefinition) -> Iterator[IndexDefinition]:
    return (index for index in table.indexes if all(key.name in attributes for key in index.key_attributes))


def _projected_bytes(attributes: Attributes, size_bytes: int, index: IndexDefinition, table: TableDefinition) -> int:
    if index.projection == "ALL":
        return size_bytes
    keys = (key.name for key in (*table.key_attributes, *index.key_attributes))
    projected = {*keys, *index.included}
    return item_size({name: value for name, value in attributes.items() if name in projected})
