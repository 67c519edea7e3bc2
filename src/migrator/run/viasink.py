"""A segment's items in an import file: a line of DynamoDB JSON each, compressed, in an order that spreads their keys.

Rows come sorted by key, and an import that reads them so heats one partition after another. So items are dealt into
blocks, a window at a time, and the file takes a block of every window in turn: any stretch of it holds items of the
whole file. The blocks wait on disk, so that memory does not grow with the file.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import IO

from isal.isal_zlib import compressobj

from migrator.errors import StoppedError
from migrator.mapping.encoded import EncodedItem, EncodedItems
from migrator.run.segment import Segment
from migrator.target.importfiles import Files
from migrator.target.outcome import WriteResult
from migrator.target.timeline import Step

#: A file is full with so many bytes before compression. S3 takes 5 GB at once; each worker has as much on disk.
FILE_BYTES = 256 * 1024 * 1024
#: Items, or bytes of items, that are dealt together, into so many blocks.
WINDOW_ITEMS = 10_000
WINDOW_BYTES = 16 * 1024 * 1024
BLOCKS = 100

_NAME = re.compile(r"(\d{6,})-\d+\.json\.gz")
_FIRST, _BETWEEN, _LAST = b'{"Item":', b'}\n{"Item":', b"}\n"
#: igzip's first level takes a third of the time of zlib's, for the same size.
_LEVEL = 1
_GZIP = 31


def file_name(table: str, segment: int, done: int) -> str:
    """A repeated part of a segment replaces its file, so that no item is there twice.

    >>> file_name("orders", 12, 0)
    'orders/000012-0.json.gz'
    """
    return f"{table}/{segment:06}-{done}.json.gz"


def segment_of(name: str) -> int | None:
    """The segment's number; None of a file that is none of ours.

    >>> segment_of("orders/000012-0.json.gz"), segment_of("orders/notes.txt")
    (12, None)
    """
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return int(found[1]) if found else None


class FileSink:
    """A part of a segment, in a file of its own; without items, in none. `again`: an earlier try may have left one."""

    def __init__(self, files: Files, segment: Segment, *, again: bool) -> None:
        self._files = files
        self._name = file_name(segment.unit.table.name, segment.number, segment.done)
        self._again = again
        self._items = self._bytes = self._dealt_bytes = 0
        self._window: list[bytes] = []
        self._blocks: list[list[tuple[int, int]]] = []  #: of each window, where its blocks lie in the spool
        self._spool: IO[bytes] | None = None
        self._spooled = 0
        self._stopped: StoppedError | None = None

    @property
    def is_full(self) -> bool:
        return self._spooled >= FILE_BYTES or self._stopped is not None

    def put(self, items: Sequence[EncodedItem]) -> None:
        columns = EncodedItems.of(items)
        self._items += len(items)
        self._bytes += columns.size_bytes
        self._window += columns.wires
        if len(self._window) >= WINDOW_ITEMS or self._bytes - self._dealt_bytes >= WINDOW_BYTES:
            self._deal()

    def close(self) -> WriteResult:
        self._deal()
        with self._stopping(), closing(self._spool or io.BytesIO()) as spool:
            if self._stopped is None and self._items:
                self._write(spool)
            elif self._stopped is None and self._again:
                self._files.place.remove(self._name)
        if self._stopped is not None:
            return WriteResult(unsent=self._items, stopped=self._stopped)
        written = WriteResult(written=self._items, bytes=self._bytes)
        written.timeline.add(time.time(), Step(items=self._items))
        return written

    def _deal(self) -> None:
        window, self._window = self._window, []
        self._dealt_bytes = self._bytes
        if not window or self._stopped is not None:
            return
        places = []
        with self._stopping():
            self._spool = self._spool or tempfile.TemporaryFile(dir=self._files.scratch)  # noqa: SIM115 (close() closes)
            for first in range(min(BLOCKS, len(window))):
                block = _FIRST + _BETWEEN.join(window[first::BLOCKS]) + _LAST
                places.append((self._spooled, len(block)))
                self._spooled += self._spool.write(block)
        self._blocks.append(places)

    def _write(self, spool: IO[bytes]) -> None:
        packer = compressobj(_LEVEL, wbits=_GZIP)
        with self._files.place.writing(self._name) as file:
            for block in self._iter_spread(spool):
                file.write(packer.compress(block))
            file.write(packer.flush())

    def _iter_spread(self, spool: IO[bytes]) -> Iterator[bytes]:
        """The n-th block of every window, then the next of every window."""
        for number in range(BLOCKS):
            for places in self._blocks:
                if number < len(places):
                    start, length = places[number]
                    spool.seek(start)
                    yield spool.read(length)

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """What goes wrong with the files stops the run, and leaves the part's items unsent."""
        try:
            yield
        except StoppedError as error:
            self._stopped = error
        except OSError as error:
            self._stopped = StoppedError(
                f"{self._files.scratch or tempfile.gettempdir()}: cannot be used: {error.strerror}\n"
                "  Make room or give access, and run again to go on.",
                code="state_unwritable",
                retryable=True,
            )
