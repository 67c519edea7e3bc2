"""What lies ahead of an analysed file: a design that takes every row, a few of its items, and what it would cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from migrator.advise.forecast import forecast_analysis
from migrator.advise.model import Analysis
from migrator.advise.samples import sample_items
from migrator.advise.suggest import suggest
from migrator.target.prices import Prices, load_prices


def look_ahead(
    connection: Connection, analysis: Analysis, prices: Prices | None = None, region: str | None = None
) -> Analysis:
    """The analysis with design, samples and forecast; at our own prices unless there are others."""
    design = suggest(connection, analysis.schema, _table_name(analysis.path))
    return replace(
        analysis,
        design=design,
        samples=sample_items(connection, analysis.schema, design),
        forecast=forecast_analysis(analysis, design, prices or load_prices(), region),
    )


def region_of(environment: Mapping[str, str]) -> str | None:
    """An analysis has no plan, so the environment alone says where."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")


def _table_name(path: str) -> str:
    """A name that DynamoDB takes.

    >>> _table_name("/data/my shop.sqlite"), _table_name("x.db")
    ('my-shop', 'x-table')
    """
    name = re.sub(r"[^a-zA-Z0-9_.-]+", "-", Path(path).stem)[:200]
    return name if len(name) >= 3 else f"{name}-table"
