"""Alarms on throttling, for the templates: a table's metrics leave out its global indexes, so each has its own."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from migrator.target.export_model import ExportedTable, index_labels

NAMESPACE = "AWS/DynamoDB"
STATISTIC = "Sum"
PERIOD_S = 300
PERIODS = 2
COMPARISON = "GreaterThanThreshold"
THRESHOLD = 0
# Where nothing is throttled the metric has no data at all.
MISSING_DATA = "notBreaching"

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html, for both billing modes
_METRICS = (("read", "ReadThrottleEvents"), ("write", "WriteThrottleEvents"))


class Alarm(Struct, frozen=True):
    label: str  #: in the template, behind the table's
    name: str  #: behind the table's name
    metric: str
    description: str
    index: str | None = None


def throttle_alarms(table: ExportedTable) -> Iterator[Alarm]:
    labels = index_labels(table.definition)
    for index in (None, *(each.name for each in table.definition.global_indexes)):
        for kind, metric in _METRICS:
            label = f"{labels[index]}_{kind}_throttle" if index else f"{kind}_throttle"
            name = f"{index}-{kind}-throttle" if index else f"{kind}-throttle"
            where = f"index {index} of the table {table.label}" if index else f"table {table.label}"
            yield Alarm(label, name, metric, f"{kind.capitalize()}s of the {where} are throttled", index)
