"""What the run that a dry run stands for would take and cost, from what the dry run counted."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from migrator.mapping.model import TableDefinition
from migrator.run.plan import Plan
from migrator.run.results import EntityResult
from migrator.target.forecast import Forecast, TableVolume, forecast, write_rate
from migrator.target.prices import Prices, load_prices


def forecast_run(
    plan: Plan, entities: Sequence[EntityResult], region: str | None, prices: Prices | None = None
) -> Forecast:
    tables = {mapping.table.name: mapping.table for mapping in plan.mappings}
    volumes = [
        _volume(table, [entity for entity in entities if entity.table == table.name], plan.settings.write_rate)
        for table in tables.values()
    ]
    return forecast(volumes, prices or load_prices(), region)


def _volume(table: TableDefinition, entities: Sequence[EntityResult], limit: float | None) -> TableVolume:
    parts = [TableVolume(e.written, e.bytes, e.write_units, e.index_entries, e.index_bytes) for e in entities]
    return replace(
        TableVolume.together(parts),
        write_rate=write_rate(table, limit),
        table_class=table.table_class,
        importable=not table.local_indexes,
    )
