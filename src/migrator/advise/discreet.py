"""An analysis without the data it was made of: names, counts, shares and sizes stay, values go."""

from __future__ import annotations

from msgspec.structs import replace

from migrator.advise.model import Analysis, Hazard, TableAnalysis
from migrator.source.profile import ColumnProfile


def without_values(analysis: Analysis) -> Analysis:
    """For a page that leaves the house."""
    return replace(
        analysis,
        tables=tuple(map(_table, analysis.tables)),
        hazards=tuple(map(_hazard, analysis.hazards)),
        samples={},
    )


def _table(found: TableAnalysis) -> TableAnalysis:
    profile = found.profile and replace(found.profile, columns=tuple(map(_column, found.profile.columns)))
    return replace(found, profile=profile, sizes=found.sizes and replace(found.sizes, largest_row=()))


def _column(column: ColumnProfile) -> ColumnProfile:
    return replace(column, minimum=None, maximum=None, common=tuple((None, share) for _, share in column.common))


def _hazard(found: Hazard) -> Hazard:
    return replace(found, examples=())
