"""The dead letters that a run left, as a retry meets them: read back, and rewritten without what is closed.

A letter names a row of a source file by its key, or a fixed item by its own. Lines that stay are copied as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

from migrator.errors import StoppedError
from migrator.mapping.document import FIXED_ITEMS
from migrator.run.history import RunFolder
from migrator.run.rejects import attributes_json
from migrator.run.segment import Unit
from migrator.wholefile import whole_file


class Letter(NamedTuple):
    """What a line is about."""

    entity: str
    place: str  #: the source file; of a fixed item its table
    name: str  #: the row's key, or the fixed item's, as JSON

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> Self:
        if line["entity"] == FIXED_ITEMS:
            return cls(FIXED_ITEMS, line["table"], json.dumps(line["key"]))
        if not isinstance(line["row"], dict) or not isinstance(line["file"], str):
            raise ValueError("it names no row")
        return cls(line["entity"], line["file"], json.dumps(line["row"]))

    @classmethod
    def of_fixed(cls, unit: Unit, position: int) -> Self:
        return cls(unit.name, unit.table.name, json.dumps(attributes_json(unit.fixed[position].key)))


class NewLetters(NamedTuple):
    """What a retry wrote into files of its own, as far as it is settled."""

    folder: RunFolder
    rejects_bytes: int
    failed_bytes: int

    def letters(self) -> set[Letter]:
        return {letter for _, letter in chain(self.rejects(), self.failed())}

    def rejects(self) -> Iterator[tuple[bytes, Letter]]:
        return _iter_lines(self.folder.rejects, self.rejects_bytes)

    def failed(self) -> Iterator[tuple[bytes, Letter]]:
        return _iter_lines(self.folder.failed, self.failed_bytes)


class DeadLetters:
    """The reject file and the failed file of a run that has ended. Raises StoppedError where a line makes no sense."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def letters(self) -> set[Letter]:
        return {letter for _, letter in chain(_iter_lines(self.folder.rejects), _iter_lines(self.folder.failed))}

    def count_left(self, closed: Set[Letter], new: NewLetters) -> int:
        """How many lines there would be, once these are closed and the new ones added."""
        old = chain(_iter_lines(self.folder.rejects), _iter_lines(self.folder.failed))
        added = sum(1 for _ in chain(new.rejects(), new.failed()))
        return added + sum(letter not in closed for _, letter in old)

    def close(self, closed: Set[Letter], new: NewLetters) -> None:
        """Leave the lines that are not closed, and the new ones. At no moment is a row in neither of the files."""
        failed_bytes = _size(self.folder.failed)
        if new.failed_bytes:
            # A row may move from one file to the other, so it is in both for a moment.
            _rewrite(self.folder.failed, chain(_iter_lines(self.folder.failed), new.failed()))
        _rewrite(self.folder.rejects, chain(_iter_open(self.folder.rejects, closed), new.rejects()))
        _rewrite(self.folder.failed, chain(_iter_open(self.folder.failed, closed, failed_bytes), new.failed()))


def _iter_open(path: Path, closed: Set[Letter], size_bytes: int | None = None) -> Iterator[tuple[bytes, Letter]]:
    return (line for line in _iter_lines(path, size_bytes) if line[1] not in closed)


def _iter_lines(path: Path, size_bytes: int | None = None) -> Iterator[tuple[bytes, Letter]]:
    """The lines with what they are about, up to so many bytes. A file that is not there has none."""
    until = _size(path) if size_bytes is None else size_bytes
    if not until:
        return
    with _file_errors(path, "read"), path.open("rb") as file:
        number = 0
        while file.tell() < until and (line := file.readline()):
            number += 1
            try:
                letter = Letter.of_line(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise StoppedError(
                    f"{path}: line {number} cannot be understood: {error}\n"
                    "  Restore the file, or take the line out, and retry again. Nothing was closed.",
                    code="dead_letters_unreadable",
                ) from error
            yield line, letter


def _rewrite(path: Path, lines: Iterator[tuple[bytes, Letter]]) -> None:
    with _file_errors(path, "written"), whole_file(path) as file:
        file.writelines(line for line, _ in lines)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _file_errors(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoppedError(
            f"{path}: cannot be {done}: {error.strerror}\n  Make room or give access, and retry again.",
            code="state_unwritable",
            retryable=True,
        ) from error
