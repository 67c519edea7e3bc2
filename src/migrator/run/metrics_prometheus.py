"""A run's figures as a text file for node_exporter's textfile collector.

All are gauges of the last run: a job that ends has no counter that only grows.
https://prometheus.io/docs/practices/instrumentation/#batch-jobs
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_fd_to_metric_families
from prometheus_client.registry import Collector

from migrator.run.ended import Ended
from migrator.run.metrics import ENTITY_FIGURES, RUN_FIGURES, EntityFigure
from migrator.run.report import RunReport

LAST_SUCCESS = "migrator_run_last_success_timestamp_seconds"

_ENTITY_HELP = {
    "migrator_run_rows": "Source rows.",
    "migrator_run_items": "Items, by what became of them.",
    "migrator_run_write_units": "Write capacity units consumed.",
    "migrator_run_written_bytes": "Size of the items written, by DynamoDB's rules.",
}


def write_textfile(path: str, plan: str, ended: Ended) -> None:
    """Replace the file at once. Raises OSError."""
    succeeded = ended.finished_at.timestamp() if ended.exit_code == 0 else last_success(path, plan)
    write_to_textfile(path, _Families(plan, ended, succeeded))


def last_success(path: str, plan: str) -> float | None:
    """What the file knows of the last run that succeeded: a failed one must not forget it."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            samples = [sample for family in text_fd_to_metric_families(file) for sample in family.samples]
    except (FileNotFoundError, ValueError):  # ValueError: it is no such file, or damaged
        return None
    return next((s.value for s in samples if (s.name, s.labels) == (LAST_SUCCESS, {"plan": plan})), None)


class _Families(Collector):
    """One plan's metrics, as families: a Gauge would keep its value in PROMETHEUS_MULTIPROC_DIR where that is set."""

    def __init__(self, plan: str, ended: Ended, succeeded_at: float | None) -> None:
        self._plan = plan
        self._ended = ended
        self._succeeded_at = succeeded_at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        ended = self._ended
        finished_at = ended.finished_at.timestamp()
        yield self._of_run("migrator_run_exit_code", "How the last run ended: 0 is success.", ended.exit_code)
        yield self._of_run("migrator_run_last_completion_timestamp_seconds", "When the last run ended.", finished_at)
        if self._succeeded_at is not None:
            yield self._of_run(LAST_SUCCESS, "When a run ended with exit code 0 last.", self._succeeded_at)
        if ended.report:
            for figure in RUN_FIGURES:
                yield self._of_run(figure.prometheus, figure.help, figure.value(ended.report))
            yield from self._of_entities(ended.report)

    def _of_run(self, name: str, help: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, help, labels=["plan"])
        family.add_metric([self._plan], value)
        return family

    def _of_entities(self, report: RunReport) -> Iterator[GaugeMetricFamily]:
        for name, help in _ENTITY_HELP.items():
            figures = [figure for figure in ENTITY_FIGURES if figure.prometheus == name]
            family = GaugeMetricFamily(name, help, labels=["plan", "entity", *_result_label(figures[0])])
            for entity in report.entities:
                for figure in figures:
                    labels = [self._plan, entity.entity, *([figure.count] if figure.is_result else [])]
                    family.add_metric(labels, getattr(entity, figure.count))
            yield family


def _result_label(figure: EntityFigure) -> list[str]:
    return ["result"] if figure.is_result else []
