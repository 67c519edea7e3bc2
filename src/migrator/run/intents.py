"""What a run is about to send, noted first: the only trace of items that a run leaves in a table when it is given up.

A file for each part of a segment, as `run.undo` has them. The ledger learns of what stands there when the run's folder
is swept, whatever became of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from migrator.errors import StoppedError
from migrator.mapping.encoded import EncodedItem, EncodedItems
from migrator.run.ledger import ROW_BYTES, UNSURE, Entry, UnitName
from migrator.run.ledgerfile import LEDGER, Stray
from migrator.run.statefile import state_errors
from migrator.run.undo import PartFile

#: Items that are noted together: each time, the disk is waited for.
_AT_ONCE = 2_000


class IntentLine(Struct, frozen=True):
    """Items of one unit."""

    unit: UnitName
    entries: Sequence[Entry]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.unit._asdict(),
            "rows": b"".join(entry.row for entry in self.entries).hex(),
            "keys": [entry.key.decode("ascii") for entry in self.entries],
        }


class IntentFile(PartFile):
    def append(self, lines: Iterable[IntentLine]) -> int:
        return self._append(lines)


class Intents:
    """Items on their way to be sent. close() before the counts are believed."""

    def __init__(self, path: Path | None, unit: UnitName) -> None:
        self.stopped: StoppedError | None = None
        self.unsent = 0
        self._path = path  #: None where nothing is sent
        self._unit = unit
        self._file: IntentFile | None = None
        self._items: list[EncodedItems] = []
        self._entries: list[Entry] = []

    def take(self, items: EncodedItems, entries: Sequence[Entry]) -> Sequence[EncodedItem]:
        """Those that may be sent now."""
        if self._path is None:
            return items
        self._items.append(items)
        self._entries += entries
        return self.rest() if len(self._entries) >= _AT_ONCE else ()

    def rest(self) -> Sequence[EncodedItem]:
        """All that was taken, noted."""
        items, entries = EncodedItems.joined(self._items), self._entries
        self._items, self._entries = [], []
        if items and self._path and not self.stopped:
            try:
                self._file = self._file or IntentFile(self._path)
                self._file.append([IntentLine(self._unit, entries)])
            except StoppedError as error:
                self.stopped = error
        if self.stopped:
            self.unsent += len(items)
            return ()
        return items

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def note_deletes(path: Path, missing: Iterable[Sequence[Stray]]) -> None:
    """What is about to be deleted: its row may be back when the run is given up, and the item then is not."""
    with IntentFile(path) as file:
        for strays in missing:
            file.append(_lines(strays))


def _lines(strays: Iterable[Stray]) -> Iterator[IntentLine]:
    units: dict[UnitName, list[Entry]] = {}
    for stray in strays:
        unit = UnitName(stray.entity, stray.source, stray.table)
        units.setdefault(unit, []).append(Entry(UNSURE, stray.row, stray.key.encode("ascii")))
    return (IntentLine(unit, entries) for unit, entries in units.items())


def iter_intents(folder: Path) -> Iterator[list[Stray]]:
    """What was noted in the folder, a few thousand at a time. Raises StoppedError where it cannot be read."""
    for path in sorted(folder.glob("*.jsonl")):
        with state_errors(path, LEDGER), path.open("rb") as lines:
            # What follows the last line break was not on disk, so its items were not sent.
            yield from (list(_strays(json.loads(line))) for line in lines if line.endswith(b"\n"))


def _strays(line: dict[str, Any]) -> Iterator[Stray]:
    rows = bytes.fromhex(line["rows"])
    for n, key in enumerate(line["keys"]):
        yield Stray(line["table"], key, line["entity"], line["source"], rows[n * ROW_BYTES : (n + 1) * ROW_BYTES])
