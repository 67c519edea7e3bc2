"""The estimate of an analysis, from its sizes and its design."""

from __future__ import annotations

import pytest

from migrator.advise.design import Design, EntityDesign, EntityItem, IndexDesign, KeyDesign, TableDesign
from migrator.advise.forecast import forecast_analysis
from migrator.advise.model import Analysis, ItemSizes, TableAnalysis
from migrator.source.schema import Schema, Table
from migrator.target.prices import load_prices

#: 10 items of up to 512 bytes, 2 of up to 4 KB, which take 3 units each.
SIZES = ItemSizes(600.0, 4_096, 3_000, (), ((512, 10), (4_096, 2)))
KEY = (("PK", "A#{id}"), ("SK", "A"))
INDEXED = (*KEY, ("GSI1PK", "B#{b}"), ("GSI1SK", "A"))
INDEX = IndexDesign("GSI1", KeyDesign("GSI1PK"), KeyDesign("GSI1SK"))


@pytest.fixture
def analysis() -> Analysis:
    table = Table("a", "table", ())
    return Analysis("a.sqlite", 0, "rollback", Schema("a.sqlite", (table,)), (TableAnalysis(table, None, SIZES),), ())


def design(*items: EntityItem, rejects: tuple[tuple[str, int], ...] = ()) -> Design:
    entity = EntityDesign("a", "a", 12, items, rejects=rejects)
    table = TableDesign("t", (KeyDesign("PK"), KeyDesign("SK")), (entity,), (INDEX,))
    return Design("a.sqlite", "single-table", (table,))


def test_without_a_design_a_row_is_an_item(analysis: Analysis) -> None:
    found = forecast_analysis(analysis, None, load_prices(), None)
    assert (found.items, found.bytes, found.write_units, found.is_estimate) == (12, 7_200, 16, True)


def test_an_index_is_written_and_stored_with_its_table(analysis: Analysis) -> None:
    found = forecast_analysis(analysis, design(EntityItem(INDEXED)), load_prices(), None)
    assert (found.items, found.index_entries, found.write_units) == (12, 12, 32)
    assert found.index_bytes == found.bytes


def test_an_item_without_the_keys_of_an_index_does_not_enter_it(analysis: Analysis) -> None:
    found = forecast_analysis(analysis, design(EntityItem(KEY)), load_prices(), None)
    assert (found.items, found.index_entries, found.write_units) == (12, 0, 16)


def test_a_row_of_two_items_is_written_twice(analysis: Analysis) -> None:
    found = forecast_analysis(analysis, design(EntityItem(KEY), EntityItem(KEY)), load_prices(), None)
    assert found.items == 24


def test_rows_that_will_be_rejected_cost_nothing(analysis: Analysis) -> None:
    found = forecast_analysis(analysis, design(EntityItem(KEY), rejects=(("item_too_large", 2),)), load_prices(), None)
    assert found.items == 10
