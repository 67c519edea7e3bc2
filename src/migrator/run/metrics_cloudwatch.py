"""A run's figures in CloudWatch's embedded metric format: log lines that CloudWatch makes metrics of.

Of aws-embedded-metrics only the context and its serializer are used. Its logger looks for its environment and sends,
from an event loop, to an agent on port 25888; a line in a log needs neither.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from aws_embedded_metrics.logger.metrics_context import MetricsContext
from aws_embedded_metrics.serializers.log_serializer import LogSerializer

from migrator.run.ended import Ended
from migrator.run.metrics import ENTITY_FIGURES, RUN_FIGURES
from migrator.run.results import EntityResult
from migrator.run.unattended import CloudWatch

# DimensionValue of PutMetricData, which takes ASCII only.
_VALUE_LENGTH = 1_024


def write_events(settings: CloudWatch, plan: str, ended: Ended) -> None:
    """Append to the file, or to standard error: standard output has the run's result alone. Raises OSError."""
    events = _iter_events(settings, plan, ended)
    text = "".join(f"{line}\n" for event in events for line in LogSerializer.serialize(event))
    if settings.file is None:
        sys.stderr.write(text)
        sys.stderr.flush()
        return
    with Path(settings.file).open("a", encoding="utf-8") as file:
        file.write(text)


def _iter_events(settings: CloudWatch, plan: str, ended: Ended) -> Iterator[MetricsContext]:
    """One of the run and its totals, which CloudWatch does not add up by itself; one of each entity."""
    entities = ended.report.entities if ended.report else ()
    event = _event(settings, ended, plan=plan)
    event.put_metric("ExitCode", ended.exit_code, "None")
    if ended.report:
        for figure in RUN_FIGURES:
            event.put_metric(figure.cloudwatch, figure.value(ended.report), figure.unit)
        _put_counts(event, entities)
    yield event
    for entity in entities:
        event = _event(settings, ended, plan=plan, entity=entity.entity)
        _put_counts(event, [entity])
        yield event


def _event(settings: CloudWatch, ended: Ended, **dimensions: str) -> MetricsContext:
    event = MetricsContext(namespace=settings.namespace)
    event.set_dimensions([{name: _dimension_value(value) for name, value in dimensions.items()}])
    event.set_timestamp(ended.finished_at)
    # For a search in the log: as dimensions they would be a metric of their own each night.
    event.set_property("run_id", ended.report.run_id if ended.report else None)
    event.set_property("status", ended.status)
    event.set_property("error", ended.error)
    return event


def _put_counts(event: MetricsContext, entities: Iterable[EntityResult]) -> None:
    for figure in ENTITY_FIGURES:
        event.put_metric(figure.cloudwatch, sum(getattr(entity, figure.count) for entity in entities), figure.unit)


def _dimension_value(text: str) -> str:
    r"""
    >>> _dimension_value("Käufe"), _dimension_value(" ")
    ('K\\xe4ufe', '_')
    """
    value = text.encode("ascii", "backslashreplace").decode("ascii")[:_VALUE_LENGTH]
    return value if value.strip() else "_"
