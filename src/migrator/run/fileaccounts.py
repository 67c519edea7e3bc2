"""What became of each source file, entity by entity: counted by the segments that lie in it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from migrator.run.booking import counts_of
from migrator.run.checkpoint import Done
from migrator.run.opened import OpenRun
from migrator.run.report_files import COUNTED, FileResult
from migrator.run.segment import SegmentResult


class FileAccounts(Struct):
    """Of one run; `done` are the segments that earlier parts of it recorded."""

    opened: OpenRun
    done: Mapping[int, Done] = field(default_factory=dict)
    _counts: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    def book(self, result: SegmentResult) -> None:
        self._add(self._counts, result.number, result.unit_number, counts_of(result))

    def results(self) -> list[FileResult]:
        """All files that the plan names, those that are set aside at the end."""
        counts = {file: dict(counted) for file, counted in self._counts.items()}
        # A run that was refused before it cut its work does not know which file a segment is of.
        for number, done in self.done.items() if self.opened.is_cut else ():
            self._add(counts, number, done.entity, done.counts)
        names = {entity.number: entity.name for entity in self.opened.entities}
        of_files: dict[str, dict[str, Mapping[str, float]]] = {}
        for (path, entity), counted in sorted(counts.items(), key=lambda each: each[0][1]):
            of_files.setdefault(path, {})[names[entity]] = counted
        return [
            *(FileResult(s.path, s.fingerprint, s.etag, of_files.get(s.path, {})) for s in self.opened.snapshots),
            *(FileResult(each.path, error=each) for each in self.opened.set_aside),
        ]

    def _add(
        self, to: dict[tuple[str, int], dict[str, float]], segment: int, entity: int, counts: Mapping[str, float]
    ) -> None:
        snapshot = self.opened.segments[segment].unit.snapshot
        if snapshot is None:  # fixed items are in no file
            return
        of_file = to.setdefault((snapshot.path, entity), dict.fromkeys(COUNTED, 0))
        for name in COUNTED:
            of_file[name] += counts.get(name, 0)
