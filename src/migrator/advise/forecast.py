"""What a migration would take and cost, estimated from an analysis: by its design, or with an item a row.

A dry run counts instead of estimating; both use `target.forecast`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from migrator.advise.design import Design, EntityDesign, TableDesign
from migrator.advise.model import Analysis, ItemSizes
from migrator.limits import WRITE_UNIT_BYTES
from migrator.target.forecast import Forecast, TableVolume, forecast
from migrator.target.prices import Prices

# A size class spans an octave: on average an item lies at three quarters of its upper end.
_WITHIN_CLASS = 0.75


def forecast_analysis(analysis: Analysis, design: Design | None, prices: Prices, region: str | None) -> Forecast:
    sizes = {table.table.name: table.sizes for table in analysis.tables if table.sizes}
    if design is None:
        volumes = [_rows_volume(found) for found in sizes.values()]
    else:
        volumes = [_table_volume(table, sizes) for table in design.tables]
    return forecast(volumes, prices, region, is_estimate=True)


def _rows_volume(sizes: ItemSizes) -> TableVolume:
    items = _rows(sizes)
    return TableVolume(items, round(items * sizes.mean_bytes), _units_an_item(sizes) * items)


def _table_volume(table: TableDesign, sizes: Mapping[str, ItemSizes]) -> TableVolume:
    parts = [part for entity in table.entities for part in _parts(table, entity, sizes.get(entity.source))]
    return TableVolume.together(parts)


def _parts(table: TableDesign, entity: EntityDesign, sizes: ItemSizes | None) -> Iterator[TableVolume]:
    """A volume for each item of a row. Every item is taken to enter the indexes that it has a template for."""
    if sizes is None:
        return
    items = entity.rows - sum(rejected for _, rejected in entity.rejects)
    for item in entity.items:
        # A template is about as long as what comes out of it.
        keys = sum(len(name.encode()) + len(template.encode()) for name, template in item.key)
        size_bytes = round(items * (sizes.mean_bytes + keys))
        indexes = sum(item.template(index.partition_key.name) is not None for index in table.indexes)
        units = items * _units_an_item(sizes)
        yield TableVolume(items, size_bytes, units * (1 + indexes), items * indexes, size_bytes * indexes)


def _rows(sizes: ItemSizes) -> int:
    return sum(count for _, count in sizes.histogram)


def _units_an_item(sizes: ItemSizes) -> float:
    units = (count * math.ceil(upper * _WITHIN_CLASS / WRITE_UNIT_BYTES) for upper, count in sizes.histogram)
    return sum(units) / max(1, _rows(sizes))
