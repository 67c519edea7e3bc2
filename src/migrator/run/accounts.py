"""What a run has counted so far, the parts before it was cut off included, and whether the plan lets it go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from migrator.errors import RejectLimitError
from migrator.run.booking import book, book_counts, book_requests
from migrator.run.checkpoint import Done, SavedEntity, SavedRun
from migrator.run.fileaccounts import FileAccounts
from migrator.run.opened import OpenRun
from migrator.run.report_files import FileResult
from migrator.run.results import EntityResult, Requests
from migrator.run.segment import SegmentResult
from migrator.run.settings import Settings
from migrator.target.timeline import Timeline

_NONE: Mapping[int, Done] = {}


class Accounts:
    """Counts by entity, and the requests of all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.entities: dict[int, EntityResult] = {}
        self.requests = Requests()
        self.timeline = Timeline()  #: of this part of the run
        self.files: FileAccounts | None = None  #: once the sources are open

    def open(self, entities: Iterable[SavedEntity]) -> None:
        """Begin with nothing, for these entities in the order of their numbers."""
        self.entities = {number: EntityResult(e.entity, e.table, e.source) for number, e in enumerate(entities)}

    def restore(self, saved: SavedRun, segments: Iterable[Done]) -> None:
        """Begin with what is recorded of the run and its segments."""
        self.open(saved.entities)
        self.requests = saved.totals.requests
        for done in segments:
            self.entities[done.entity] = book_counts(self.entities[done.entity], done.counts)

    def open_files(self, opened: OpenRun, done: Mapping[int, Done] = _NONE) -> None:
        """Count by source file too; `done` is what is recorded of segments."""
        self.files = FileAccounts(opened, done)

    def file_results(self) -> list[FileResult]:
        return self.files.results() if self.files else []

    def warn(self, number: int, warnings: int) -> None:
        entity = self.entities[number]
        self.entities[number] = replace(entity, warnings=entity.warnings + warnings)

    def delete(self, items: Mapping[str, int]) -> None:
        """Items that are deleted, by the entities that gave them; of one that is gone, with the first of the run."""
        numbers = {entity.entity: number for number, entity in reversed(self.entities.items())}
        for name, count in items.items():
            number = numbers.get(name, min(self.entities))
            self.entities[number] = replace(self.entities[number], deleted=self.entities[number].deleted + count)

    def book(self, result: SegmentResult) -> None:
        self.entities[result.unit_number] = book(self.entities[result.unit_number], result)
        self.requests = book_requests(self.requests, result.write)
        self.timeline.extend(result.write.timeline)
        if self.files:
            self.files.book(result)

    # ---- rejects

    @property
    def rejected(self) -> int:
        return sum(entity.rejected for entity in self.entities.values())

    @property
    def reject_limit(self) -> int | None:
        return 0 if self._settings.on_reject == "stop" else self._settings.max_rejects

    def reject_room(self) -> int | None:
        """How many more rejects the plan allows."""
        return None if self.reject_limit is None else max(0, self.reject_limit - self.rejected)

    def over_limit(self, rejects: Path) -> RejectLimitError | None:
        """The error that ends the run where more rows are rejected than the plan allows; `rejects` has them."""
        limit = self.reject_limit
        if limit is None or self.rejected <= limit:
            return None
        rule = "on_reject: stop" if self._settings.on_reject == "stop" else f"max_rejects: {limit}"
        return RejectLimitError(
            f"{self.rejected} rows were rejected, and the plan says {rule}\n"
            f"  They are in {rejects}. Mend the rows or the mapping, and begin afresh with --restart;\n"
            "  or allow more, and run again to go on.",
            code="too_many_rejects",
        )
