"""What a run with `settings: rollback: true` keeps in its folder: what it writes, and what stood there before.

A file for each part of a segment, whose lines are on disk before their items are sent. A part that was cut off is
repeated and adds to its file, and by then it may find its own items in the table: the first line of a key counts.
What retries of the run write lies in layers above it, which are taken back from the top.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import Struct

from migrator.errors import StoppedError, UsageError
from migrator.mapping.wirejson import from_wire
from migrator.run.rejects import LineFile, attributes_json
from migrator.source.storage import sync_file
from migrator.target.undo import Written

_BLOCK_BYTES = 64 * 1024


class WrittenLine(Struct, frozen=True):
    """One item, before it is sent."""

    table: str
    item: Written

    def to_json(self) -> dict[str, Any]:
        before = self.item.before
        return {
            "table": self.table,
            "key": self.item.key,
            "digest": self.item.digest.hex(),
            "before": None if before is None else attributes_json(before),
            "expires": self.item.expires,
        }

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> WrittenLine:
        before = None if line["before"] is None else from_wire(line["before"])
        return cls(line["table"], Written(line["key"], bytes.fromhex(line["digest"]), before, line["expires"]))


class PartFile(LineFile):
    """Lines of one part that are on disk before its items are sent. It may be there from an earlier try."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            # A line that was cut in the middle was not on disk, so its item was not sent.
            self.size_bytes = _whole_lines_bytes(self.path)
            os.ftruncate(self._descriptor, self.size_bytes)
            sync_file(str(self.path))
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error


class WrittenFile(PartFile):
    def append(self, lines: Iterable[WrittenLine]) -> int:
        return self._append(lines)


def part_file(folder: Path, segment: int, rows_done: int) -> Path:
    """Where the part of a segment that begins after so many rows keeps its lines."""
    return folder / f"{segment}-{rows_done}.jsonl"


def make_folder(folder: Path) -> None:
    """Where this folder is, its run can be taken back, also one that wrote nothing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoppedError(f"{folder}: cannot be made: {error.strerror}", code="state_unwritable") from error


def new_layer(folder: Path) -> Path:
    """Make a folder for what is written on top of all that those in `folder` tell of."""
    layer = folder / str(len(layers(folder)) + 1)
    make_folder(layer)
    return layer


def layers(folder: Path) -> list[Path]:
    """Folders as for a run, of what was written one upon the other; the first comes first."""
    return sorted(folder.iterdir(), key=lambda layer: int(layer.name)) if folder.is_dir() else []


def iter_written(folder: Path) -> Iterator[WrittenLine]:
    """What the run wrote, each key of a table once. Raises UsageError where a line cannot be read."""
    for _, paths in groupby(sorted(folder.glob("*.jsonl"), key=_place), lambda path: _place(path)[0]):
        seen: set[tuple[str, str]] = set()  # what was deleted of all tables is in one file
        for path in paths:
            for line in _iter_lines(path):
                named = line.table, line.item.key
                if named not in seen:
                    seen.add(named)
                    yield line


def _place(path: Path) -> tuple[int, int]:
    """Segment and rows done: a key comes from one row, so that it is in the files of one segment only."""
    segment, _, rows_done = path.stem.partition("-")
    return int(segment), int(rows_done)


def _iter_lines(path: Path) -> Iterator[WrittenLine]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\n"):
                yield _read_line(path, number, line)


def _read_line(path: Path, number: int, line: bytes) -> WrittenLine:
    try:
        return WrittenLine.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: line {number} cannot be read: {error!r}\n"
            "  What the run replaced is not known any more. Nothing was taken back.",
            code="undo_damaged",
        ) from error


def _whole_lines_bytes(path: Path) -> int:
    """Up to the end of the last whole line."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK_BYTES)
            file.seek(start)
            if (at := file.read(end - start).rfind(b"\n")) >= 0:
                return start + at + 1
            end = start
    return 0
