"""The way to the table of a run that can be taken back: what stands at the keys is kept before the items are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from migrator.errors import StoppedError
from migrator.mapping.canonical import digest, key_text
from migrator.mapping.encoded import EncodedItem
from migrator.mapping.model import Attributes, TableDefinition
from migrator.run.scan import BATCH_GET_KEYS
from migrator.run.segment import expires_at
from migrator.run.undo import WrittenFile, WrittenLine
from migrator.target.outcome import WriteResult
from migrator.target.undo import Written
from migrator.target.writer import Writer

#: Items by the texts of their keys, as `scan.get_items` gives them.
ReadItems = Callable[[Iterable[str]], Iterator[list[tuple[str, Attributes]]]]


class KeepingSink:
    """A writer's items, kept a hundred at a time. close() before the counts are believed."""

    is_full = False

    def __init__(self, writer: Writer, table: TableDefinition, path: Path, read: ReadItems, *, replaces: bool) -> None:
        self._writer = writer
        self._table = table
        self._path = path
        self._read = read
        self._replaces = replaces  #: else an item that is there stays
        self._file: WrittenFile | None = None
        self._stopped: StoppedError | None = None
        self._unsent = 0

    def put(self, items: Sequence[EncodedItem]) -> None:
        every = list(items)  # their sizes are worked out once, not for each hundred
        for start in range(0, len(every), BATCH_GET_KEYS):
            self._put(every[start : start + BATCH_GET_KEYS])

    def close(self) -> WriteResult:
        """As the writer's; what could not be kept is unsent."""
        if self._file is not None:
            self._file.close()
        result = self._writer.close()
        return replace(result, unsent=result.unsent + self._unsent, stopped=result.stopped or self._stopped)

    def _put(self, items: Sequence[EncodedItem]) -> None:
        if self._stopped is None:
            try:
                self._keep(items)
            except StoppedError as error:
                self._stopped = error
        if self._stopped is None:
            self._writer.put(items)
        else:
            self._unsent += len(items)

    def _keep(self, items: Sequence[EncodedItem]) -> None:
        if self._file is None:
            self._file = WrittenFile(self._path)
        wanted = {key_text(attributes, self._table): attributes for attributes in (i.attributes for i in items)}
        there = dict(pair for found in self._read(wanted) for pair in found)
        self._file.append(
            WrittenLine(self._table.name, written)
            for key, attributes in wanted.items()
            if (written := self._written(key, attributes, there.get(key)))
        )

    def _written(self, key: str, attributes: Attributes, before: Attributes | None) -> Written | None:
        """None where the write changes nothing, so that there is nothing to take back."""
        ours = digest(attributes)
        if before is not None and (not self._replaces or digest(before) == ours):
            return None
        return Written(key, ours, before, expires_at(attributes, self._table))
