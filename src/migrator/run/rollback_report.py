"""What taking a run back came to, for a program (JSON) and for a person (text)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, get_args

from msgspec import Struct

from migrator import __version__
from migrator.run.aligned import aligned
from migrator.run.jsonfile import timestamp
from migrator.run.report import first_exit_code
from migrator.run.results import RunError
from migrator.target.undo import Fate

FATES: tuple[Fate, ...] = get_args(Fate)
_INCOMPLETE = 1
_STATUS_BY_EXIT_CODE = {0: "rolled_back", 1: "rolled_back_with_changes", 130: "interrupted", 143: "interrupted"}


class RollbackReport(Struct, frozen=True):
    """Counts of items by table. What an earlier try took back is counted by how it is met now: gone, or as before."""

    run_id: str
    plan: str
    started_at: datetime  #: aware
    finished_at: datetime
    tables: Mapping[str, Counter[Fate]]
    changed: str  #: absolute path of the file that names what was left alone
    error: RunError | None = None

    @property
    def exit_code(self) -> int:
        changed = _INCOMPLETE if any(counts["changed"] for counts in self.tables.values()) else 0
        return first_exit_code((changed, self.error.exit_code if self.error else 0))

    @property
    def status(self) -> str:
        return _STATUS_BY_EXIT_CODE.get(self.exit_code, "failed")

    def totals(self) -> Counter[Fate]:
        return sum(self.tables.values(), Counter[Fate]())

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "version": __version__,
            "plan": self.plan,
            "status": self.status,
            "exit_code": self.exit_code,
            "started_at": timestamp(self.started_at),
            "finished_at": timestamp(self.finished_at),
            "tables": [{"table": name, **_all_fates(counts)} for name, counts in self.tables.items()],
            "totals": _all_fates(self.totals()),
            "changed": self.changed,
            "error": self.error.to_json() if self.error else None,
        }

    def to_text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"rollback of run {self.run_id} of plan {self.plan}: {self.status.replace('_', ' ')}"
        yield ""
        rows = [*self.tables.items(), ("total", self.totals())]
        heading = ["table", *(fate.replace("_", " ") for fate in FATES)]
        yield from aligned([heading, *([name, *map(str, _all_fates(counts).values())] for name, counts in rows)])
        if self.totals()["changed"]:
            yield ""
            yield f"changed since the run, and left alone: {self.changed}"


def _all_fates(counts: Counter[Fate]) -> dict[str, int]:
    return {fate: counts[fate] for fate in FATES}
