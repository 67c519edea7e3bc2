"""What filling tables takes and costs. Each price is the one of the file beside it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from migrator.target.forecast import GB, TableVolume, forecast
from migrator.target.prices import ClassPrices, Prices, RegionPrices, load_prices

STANDARD = ClassPrices(write_million=0.5, write_unit_hour=0.001, storage_gb_month=0.25)
RARE = ClassPrices(write_million=1.0, write_unit_hour=0.002, storage_gb_month=0.1)
HERE = RegionPrices("here", {"STANDARD": STANDARD, "STANDARD_INFREQUENT_ACCESS": RARE}, s3_import_gb=0.15)
PRICES = Prices("2026-01-02", "a test", "USD", "here", {"here": HERE, "bare": RegionPrices("bare", {})})

MILLION = TableVolume(items=1_000_000, bytes=GB, write_units=4_000_000, write_rate=1_000)


def test_writing_on_demand_is_paid_by_the_write_unit() -> None:
    assert forecast([MILLION], PRICES, "here").on_demand == pytest.approx(2.0)


def test_provisioned_capacity_is_paid_by_the_started_hour() -> None:
    """4,000,000 units at 1,000 a second take an hour and seven minutes."""
    assert forecast([MILLION], PRICES, "here").provisioned == pytest.approx(1_000 * 2 * 0.001)


def test_an_import_is_paid_by_the_json_it_reads_and_not_by_units() -> None:
    many_units = replace(MILLION, write_units=8_000_000)
    costs = [forecast([volume], PRICES, "here").s3_import for volume in (MILLION, many_units)]
    assert costs == [pytest.approx(1.8 * 0.15)] * 2


def test_the_cheapest_way_is_told_with_what_it_saves() -> None:
    """On demand 2.0, provisioned 2.0, import 0.27; of small items an import reads less than a unit's worth."""
    found = forecast([MILLION], PRICES, "here")
    assert found.cheapest == ("s3_import", pytest.approx(2.0 - 0.27))
    assert "  cheapest: S3 import (run --via s3://…), which saves $1.73 against writing" in found.lines()
    large = replace(MILLION, bytes=40 * GB)
    assert forecast([large], PRICES, "here").cheapest == ("on_demand", pytest.approx(40 * 0.27 - 2.0))


def test_a_table_that_cannot_be_imported_has_no_price_for_it() -> None:
    found = forecast([replace(MILLION, importable=False)], PRICES, "here")
    assert (found.s3_import, found.cheapest) == (None, None)


def test_storage_counts_indexes_and_a_hundred_bytes_an_entry() -> None:
    volume = TableVolume(items=10, bytes=GB - 1_500, write_units=10, index_entries=5, index_bytes=GB)
    assert forecast([volume], PRICES, "here").storage_month == pytest.approx(0.5)


def test_a_table_of_another_class_has_other_prices() -> None:
    rare = replace(MILLION, table_class="STANDARD_INFREQUENT_ACCESS")
    assert forecast([MILLION, rare], PRICES, "here").on_demand == pytest.approx(2.0 + 4.0)


def test_tables_are_filled_one_after_the_other() -> None:
    found = forecast([MILLION, replace(MILLION, write_rate=500)], PRICES, "here")
    assert found.duration_s == 4_000 + 8_000


def test_what_has_no_price_is_unknown_and_not_free() -> None:
    found = forecast([MILLION], PRICES, "bare")
    assert (found.on_demand, found.provisioned, found.s3_import, found.storage_month) == (None,) * 4
    assert found.to_json()["cost"]["on_demand"] is None
    assert "on demand unknown" in "\n".join(found.lines())


def test_a_region_without_prices_is_named_beside_the_one_that_stands_in() -> None:
    lines = list(forecast([MILLION], PRICES, "mars-north-1").lines())
    assert lines[0] == "forecast, at the prices of 2026-01-02 for here (mars-north-1 is not in the prices file)"


def test_nothing_to_write_costs_nothing() -> None:
    found = forecast([], PRICES, "here")
    assert (found.on_demand, found.duration_s) == (0, 0)


def test_our_own_prices_are_dated_and_complete_for_their_default_region() -> None:
    prices = load_prices()
    found = forecast([MILLION, replace(MILLION, table_class="STANDARD_INFREQUENT_ACCESS")], prices)
    assert prices.date
    assert prices.source
    assert None not in (found.on_demand, found.provisioned, found.s3_import, found.storage_month)
