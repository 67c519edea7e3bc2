"""A table definition as lines of text: `{path: words}`, the form in which two tables are compared and shown."""

from __future__ import annotations

from typing import Any

from migrator.mapping.model import Capacity, IndexDefinition, KeyAttribute, TableDefinition


def expected_settings(definition: TableDefinition) -> dict[str, Any]:
    """What the mapping says; what it is silent about is not compared.

    >>> expected_settings(TableDefinition("orders", KeyAttribute("PK"), time_to_live="ttl"))
    {'billing_mode': 'PAY_PER_REQUEST', 'time_to_live': 'ttl'}
    """
    said = {
        "billing_mode": billing(definition.capacity),
        **{f"global_indexes.{index.name}": index_text(index) for index in definition.global_indexes},
        **{f"local_indexes.{index.name}": index_text(index) for index in definition.local_indexes},
        **{
            f"index_capacity.{index.name}": capacity_text(capacity)
            for index in definition.global_indexes
            if (capacity := definition.index_capacity(index))
        },
        "warm_throughput": definition.warm_throughput and capacity_text(definition.warm_throughput),
        "time_to_live": definition.time_to_live,
        "point_in_time_recovery": definition.point_in_time_recovery,
        "encryption": definition.encryption,
        "deletion_protection": definition.deletion_protection,
        "table_class": definition.table_class,
        "contributor_insights": definition.contributor_insights,
        "stream": definition.stream,
        **{f"tags.{name}": value for name, value in definition.tags},
    }
    return {path: value for path, value in said.items() if value is not None}


def expected_keys(definition: TableDefinition) -> dict[str, str]:
    keys = {"partition_key": key_text(definition.partition_key)}
    if definition.sort_key:
        keys["sort_key"] = key_text(definition.sort_key)
    for kind, indexes in (("global", definition.global_indexes), ("local", definition.local_indexes)):
        keys |= {f"{kind}_indexes.{index.name}": ", ".join(map(key_text, index.key_attributes)) for index in indexes}
    return keys


def key_text(attribute: KeyAttribute) -> str:
    return f"{attribute.name} ({attribute.type})"


def capacity_text(capacity: Capacity) -> str:
    return f"read {capacity.read} / write {capacity.write}"


def billing(capacity: Capacity | None) -> str:
    return "PAY_PER_REQUEST" if capacity is None else f"PROVISIONED {capacity_text(capacity)}"


def index_text(index: IndexDefinition) -> str:
    keys = ", ".join(map(key_text, index.key_attributes))
    return " ".join((keys, index.projection, *([", ".join(sorted(index.included))] if index.included else [])))
