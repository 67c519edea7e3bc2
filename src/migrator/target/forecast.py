"""What filling tables takes and costs: units, money, storage and time, from counts and a prices file.

The arithmetic only. `run.forecast` feeds it what a dry run counted, `advise.forecast` what an analysis estimates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from migrator.mapping.model import TableDefinition
from migrator.target.prices import Prices, RegionPrices

GB = 1024**3
# "Storage billing" — CapacityUnitCalculations: an item, also one of an index, is charged 100 bytes more than it has.
ITEM_STORAGE_OVERHEAD_BYTES = 100
# "Initial throughput for on-demand capacity mode" — on-demand-capacity-mode
NEW_TABLE_WRITE_RATE = 4_000.0
# An import is charged by the DynamoDB JSON it reads, uncompressed: of our tests' files 1.5 to 1.9 times the items.
IMPORT_EXPANSION = 1.8

_WAYS = {
    "s3_import": "S3 import (run --via s3://…), which saves {} against writing",
    "on_demand": "writing on demand, which saves {} against S3 import",
    "provisioned": "writing provisioned, which saves {} against S3 import",
}


class TableVolume(Struct, frozen=True):
    """What one table is to be given, and how fast it takes it."""

    items: int
    bytes: int  #: of the items, by DynamoDB's size rules
    write_units: float  #: of the table and its indexes
    index_entries: int = 0
    index_bytes: int = 0
    write_rate: float = NEW_TABLE_WRITE_RATE  #: units a second
    table_class: str | None = None
    importable: bool = True  #: an import cannot make local indexes

    @classmethod
    def together(cls, parts: Sequence[TableVolume]) -> TableVolume:
        """What the parts of one table come to; how fast it takes them is the table's own."""
        return cls(
            items=sum(part.items for part in parts),
            bytes=sum(part.bytes for part in parts),
            write_units=sum(part.write_units for part in parts),
            index_entries=sum(part.index_entries for part in parts),
            index_bytes=sum(part.index_bytes for part in parts),
        )

    @property
    def duration_s(self) -> float:
        return self.write_units / self.write_rate

    @property
    def stored_bytes(self) -> int:
        return self.bytes + self.index_bytes + ITEM_STORAGE_OVERHEAD_BYTES * (self.items + self.index_entries)


class Forecast(Struct, frozen=True):
    """Of all tables together; they are filled one after the other. Money is None where the file has no price for it."""

    items: int
    bytes: int
    index_entries: int
    index_bytes: int
    write_units: float
    write_rate: float  #: units a second, on average over the tables
    duration_s: float
    region: str  #: whose prices these are
    asked_region: str | None
    prices_of: str  #: the date of the prices file
    currency: str
    on_demand: float | None
    provisioned: float | None  #: at write_rate, for as many whole hours as it takes
    s3_import: float | None
    storage_month: float | None
    is_estimate: bool = False  #: from a profile's sizes, not from rendered items

    def to_json(self) -> dict[str, Any]:
        return {
            "items": self.items,
            "bytes": self.bytes,
            "index_entries": self.index_entries,
            "index_bytes": self.index_bytes,
            "write_units": round(self.write_units, 3),
            "write_rate": round(self.write_rate, 3),
            "duration_s": round(self.duration_s, 3),
            "estimate": self.is_estimate,
            "prices": {"date": self.prices_of, "region": self.region, "currency": self.currency},
            "cost": {
                "on_demand": _cents(self.on_demand),
                "provisioned": _cents(self.provisioned),
                "s3_import": _cents(self.s3_import),
                "storage_month": _cents(self.storage_month),
            },
            "cheapest": self.cheapest and {"way": self.cheapest[0], "saves": _cents(self.cheapest[1])},
        }

    @property
    def cheapest(self) -> tuple[str, float] | None:
        """The way in that costs least, and what it saves: an import against the cheaper mode of writing, or that mode
        against an import. None where no two ways can be compared.
        """
        modes = {"on_demand": self.on_demand, "provisioned": self.provisioned}
        writing = min(((cost, mode) for mode, cost in modes.items() if cost is not None), default=None)
        if writing is None or self.s3_import is None or writing[0] == self.s3_import:
            return None
        saved = writing[0] - self.s3_import
        return ("s3_import", saved) if saved > 0 else (writing[1], -saved)

    @property
    def cheapest_words(self) -> str | None:
        if self.cheapest is None:
            return None
        way, saved = self.cheapest
        return _WAYS[way].format(self.money(saved))

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield f"forecast, at {self.prices_words()}"
        about = "about " if self.is_estimate else ""
        entries = f" and {self.index_entries:,} index entries" if self.index_entries else ""
        yield f"  {about}{self.items:,} items of {size_words(self.bytes)}{entries}: {self.write_units:,.0f} write units"
        yield f"  {duration_words(self.duration_s)} at {self.write_rate:,.0f} write units a second"
        yield f"  writing on demand {self.money(self.on_demand)}, provisioned {self.money(self.provisioned)}" + (
            f", by S3 import {self.money(self.s3_import)}"
        )
        if self.cheapest_words:
            yield f"  cheapest: {self.cheapest_words}"
        yield f"  storage {self.money(self.storage_month)} a month"

    def prices_words(self) -> str:
        instead = f" ({self.asked_region} is not in the prices file)" if self.asked_region != self.region else ""
        return f"the prices of {self.prices_of} for {self.region}{instead if self.asked_region else ''}"

    def money(self, amount: float | None) -> str:
        return money_words(amount, self.currency)


def forecast(
    tables: Sequence[TableVolume], prices: Prices, region: str | None = None, *, is_estimate: bool = False
) -> Forecast:
    of_region = prices.of(region)
    units = sum(table.write_units for table in tables)
    duration_s = sum(table.duration_s for table in tables)
    return Forecast(
        items=sum(table.items for table in tables),
        bytes=sum(table.bytes for table in tables),
        index_entries=sum(table.index_entries for table in tables),
        index_bytes=sum(table.index_bytes for table in tables),
        write_units=units,
        write_rate=units / duration_s if duration_s else NEW_TABLE_WRITE_RATE,
        duration_s=duration_s,
        region=of_region.region,
        asked_region=region,
        prices_of=prices.date,
        currency=prices.currency,
        on_demand=_total(tables, of_region, _on_demand),
        provisioned=_total(tables, of_region, _provisioned),
        s3_import=_total(tables, of_region, _s3_import),
        storage_month=_total(tables, of_region, _storage_month),
        is_estimate=is_estimate,
    )


def write_rate(table: TableDefinition, limit: float | None = None) -> float:
    """Units a second that the table takes from the start: as provisioned, warmed, or of a new on-demand table.

    >>> from migrator.mapping.model import Capacity, KeyAttribute
    >>> table = TableDefinition("t", KeyAttribute("PK"), capacity=Capacity(read=5, write=50))
    >>> write_rate(table), write_rate(table, limit=10.0)
    (50.0, 10.0)
    """
    given = table.capacity or table.warm_throughput
    rate = float(given.write) if given else NEW_TABLE_WRITE_RATE
    return min(rate, limit) if limit else rate


# ---- one table's money

_Price = Callable[[TableVolume, RegionPrices], float | None]


def _total(tables: Sequence[TableVolume], prices: RegionPrices, price: _Price) -> float | None:
    parts = [price(table, prices) for table in tables]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _on_demand(table: TableVolume, prices: RegionPrices) -> float | None:
    price = prices.of(table.table_class).write_million
    return None if price is None else table.write_units / 1_000_000 * price


def _provisioned(table: TableVolume, prices: RegionPrices) -> float | None:
    """Capacity is charged by the started hour."""
    price = prices.of(table.table_class).write_unit_hour
    return None if price is None else table.write_rate * math.ceil(table.duration_s / 3_600) * price


def _s3_import(table: TableVolume, prices: RegionPrices) -> float | None:
    """An import takes no write units, and fills the indexes for nothing."""
    price = prices.s3_import_gb
    return None if price is None or not table.importable else table.bytes * IMPORT_EXPANSION / GB * price


def _storage_month(table: TableVolume, prices: RegionPrices) -> float | None:
    price = prices.of(table.table_class).storage_gb_month
    return None if price is None else table.stored_bytes / GB * price


# ---- words


def _cents(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 6)


def money_words(amount: float | None, currency: str = "USD") -> str:
    """
    >>> money_words(1234.5), money_words(0.004), money_words(0), money_words(None), money_words(2, "EUR")
    ('$1,234.50', 'under $0.01', '$0.00', 'unknown', '2.00 EUR')
    """
    if amount is None:
        return "unknown"
    under, shown = ("under ", 0.01) if 0 < amount < 0.01 else ("", amount)
    return f"{under}${shown:,.2f}" if currency == "USD" else f"{under}{shown:,.2f} {currency}"


def duration_words(seconds: float) -> str:
    """
    >>> duration_words(0.2), duration_words(90), duration_words(7_500), duration_words(200_000)
    ('under a second', '1 min 30 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 1:
        return "under a second"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    rest = round(seconds)
    for name, length in units:
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(filter(None, parts[:2]))


def size_words(size_bytes: float) -> str:
    """
    >>> size_words(512), size_words(1_007_616)
    ('512 bytes', '984.0 KiB')
    """
    named = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
    return next(
        (f"{size_bytes / unit:,.1f} {name}" for unit, name in named if size_bytes >= unit), f"{size_bytes:,.0f} bytes"
    )
