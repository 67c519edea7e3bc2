"""A table as a person wants to see it: what it is, how it is set, and where it differs from its definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from migrator.mapping.model import AWS_MANAGED, AWS_OWNED
from migrator.target.table import Made
from migrator.target.tablecheck import Inspection
from migrator.target.tablefound import LACKING, found_keys

#: In this order: a path of `tablewords` -> what it is called.
_SETTINGS: Mapping[str, str] = {
    "billing_mode": "billing mode",
    "warm_throughput": "warm throughput",
    "table_class": "table class",
    "encryption": "encryption",
    "point_in_time_recovery": "point-in-time recovery",
    "time_to_live": "time to live",
    "deletion_protection": "deletion protection",
    "contributor_insights": "contributor insights",
    "stream": "stream",
}
_WORDS: Mapping[Any, str] = {
    None: "none",
    True: "on",
    False: "off",
    LACKING: "not known to this engine",
    AWS_OWNED: "key owned by AWS",
    AWS_MANAGED: "key managed by AWS",
}
_TITLE_WIDTH = 24


def table_text(inspection: Inspection) -> str:
    """The table as it was found."""
    name = inspection.definition.name
    if inspection.description is None:
        return f"table {name}: does not exist"
    return "\n".join((f"table {name}", *_lines(inspection, inspection.description)))


def made_text(name: str, made: Made) -> str:
    """
    >>> made_text("orders", Made(False, ("time_to_live", "stream"), ()))
    'orders: was there; switched on: time_to_live, stream'
    """
    if made.created:
        return f"{name}: created"
    applied = f"switched on: {', '.join(made.applied)}" if made.applied else "nothing to switch on"
    return f"{name}: was there; {applied}"


def _lines(inspection: Inspection, description: Mapping[str, Any]) -> Iterator[str]:
    keys, found = found_keys(description), inspection.found
    yield _line("status", description.get("TableStatus"))
    yield _line("partition key", keys["partition_key"])
    yield _line("sort key", keys.get("sort_key"))
    # The service counts both about every six hours.
    yield _line("items", f"about {description.get('ItemCount', 0):,}")
    yield _line("size", f"about {description.get('TableSizeBytes', 0):,} bytes")
    yield from (_line(title, found.get(path)) for path, title in _SETTINGS.items())
    yield from _index_lines(found, description)
    yield _line("tags", _tags(found))
    yield _line("ARN", description.get("TableArn"))
    yield from (f"  differs: {difference}" for difference in inspection.differences)


def _index_lines(found: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[str]:
    for kind, listed in (("global", "GlobalSecondaryIndexes"), ("local", "LocalSecondaryIndexes")):
        for index in description.get(listed) or ():
            name = index["IndexName"]
            # A local index is always as its table is.
            state = index.get("IndexStatus", description.get("TableStatus", "ACTIVE"))
            units = found.get(f"index_capacity.{name}", LACKING)
            provisioned = found["billing_mode"].startswith("PROVISIONED") and units is not LACKING
            words = [state, found[f"{kind}_indexes.{name}"], *([units] if provisioned else [])]
            yield _line(f"{kind} index {name}", ", ".join(words))


def _tags(found: Mapping[str, Any]) -> Any:
    tags = {path.removeprefix("tags."): value for path, value in found.items() if path.startswith("tags.")}
    return ", ".join(f"{name}={value}" for name, value in tags.items()) or found.get("tags")


def _line(title: str, value: Any) -> str:
    """
    >>> _line("stream", None)
    '  stream                   none'
    """
    return f"  {title:<{_TITLE_WIDTH}} {_WORDS.get(value, value)}"
