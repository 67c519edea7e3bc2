"""What DynamoDB charges, from a dated file that a user can replace.

Prices differ by region and change without notice, so none stands in the code, and what is shown names the file's date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from migrator.errors import UsageError

OWN_FILE = Path(__file__).with_name("prices.json")

_TABLE_CLASSES = ("STANDARD", "STANDARD_INFREQUENT_ACCESS")


class ClassPrices(Struct, frozen=True):
    """Of a table class. None: the file does not say."""

    write_million: float | None = None  #: a million write request units on demand
    write_unit_hour: float | None = None  #: a provisioned write capacity unit for an hour
    storage_gb_month: float | None = None


class RegionPrices(Struct, frozen=True):
    region: str
    classes: Mapping[str, ClassPrices]
    s3_import_gb: float | None = None

    def of(self, table_class: str | None) -> ClassPrices:
        return self.classes.get(table_class or "STANDARD", ClassPrices())


class Prices(Struct, frozen=True):
    date: str
    source: str
    currency: str
    default_region: str
    regions: Mapping[str, RegionPrices]

    def of(self, region: str | None) -> RegionPrices:
        """Those of the region; where the file has none, those of its default region, which say so by their name."""
        return self.regions.get(region or "", self.regions[self.default_region])


def load_prices(path: Path | None = None) -> Prices:
    """Read a prices file, by default our own. Raises UsageError where it is not one."""
    try:
        document = json.loads((path or OWN_FILE).read_text(encoding="utf-8"))
        return _read(document)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", code="prices") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"misses {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{path}: is no prices file: {what}\n  docs/forecast.md shows one; {OWN_FILE} is the one in use without it",
            code="prices",
        ) from error


def _read(document: Mapping[str, Any]) -> Prices:
    prices = Prices(
        date=str(document["date"]),
        source=str(document["source"]),
        currency=str(document["currency"]),
        default_region=str(document["default_region"]),
        regions={name: _region(name, found) for name, found in document["regions"].items()},
    )
    if prices.default_region not in prices.regions:
        raise ValueError(f'default_region "{prices.default_region}" is none of its regions')
    return prices


def _region(name: str, found: Mapping[str, Any]) -> RegionPrices:
    classes = {each: _class(found[each]) for each in _TABLE_CLASSES if each in found}
    return RegionPrices(name, classes, _price(found, "s3_import_gb"))


def _class(found: Mapping[str, Any]) -> ClassPrices:
    return ClassPrices(*(_price(found, name) for name in ("write_million", "write_unit_hour", "storage_gb_month")))


def _price(found: Mapping[str, Any], name: str) -> float | None:
    value = found.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
        raise ValueError(f"{name} is {value!r}, not a price")
    return None if value is None else float(value)
