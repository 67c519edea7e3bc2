"""The bytes of a SQLite file and of its neighbours, looked at without SQLite.

Only what SQLite itself does not tell: whether a file looks whole before it is opened, whether it is still the
same, and a byte copy that is known to be of one moment. The format is https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import sys
import threading
import time
from collections import OrderedDict

from msgspec import Struct

MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_WAL_HEADER_BYTES = 32
#: A file is written so much at a time. For megabytes at once the system looks for as much memory in one piece, which in
#: a virtual machine that lay idle takes ten times the work of the copying.
BLOCK_BYTES = 256 * 1024
_FICLONE = 0x40049409  # ioctl_ficlone(2)
# Kernels stamp mtime by their clock tick (1 to 10 ms): two writes in one tick cannot be told apart.
_TICK_S = 0.02
_ANY_WRITER = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class _OpenFiles:
    """Database files kept open for reading their bytes.

    Closing any descriptor of a file drops all POSIX locks that this process holds on it, those of SQLite's
    read transactions too (https://www.sqlite.org/howtocorrupt.html, 2.2), so they stay open.
    """

    def __init__(self, limit: int = 128) -> None:
        self._limit = limit
        self._descriptors: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: str, size: int, offset: int) -> bytes:
        with self._lock:
            return os.pread(self._descriptor(path), size, offset)

    def clone(self, path: str, target: int) -> bool:
        """Let an empty file share all blocks of this one; False where the system or the file system cannot."""
        if sys.platform != "linux":
            return False
        with self._lock:
            try:
                fcntl.ioctl(target, _FICLONE, self._descriptor(path))
            except OSError:
                return False
        return True

    def sync(self, path: str) -> None:
        with self._lock:
            os.fsync(self._descriptor(path))

    def _descriptor(self, path: str) -> int:
        info = os.stat(path)
        key = (info.st_dev, info.st_ino)
        if key not in self._descriptors:
            self._descriptors[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if len(self._descriptors) > self._limit:
                os.close(self._descriptors.popitem(last=False)[1])
        self._descriptors.move_to_end(key)
        return self._descriptors[key]


_open_files = _OpenFiles()


class Header(Struct, frozen=True):
    raw: bytes

    @property
    def is_sqlite(self) -> bool:
        return self.raw.startswith(MAGIC) and len(self.raw) == _HEADER_BYTES

    @property
    def is_wal(self) -> bool:
        """The file format versions for writing and reading: 1 is a rollback journal, 2 is WAL."""
        return 2 in self.raw[18:20]

    @property
    def change_counter(self) -> bytes:
        return self.raw[24:28]

    @property
    def size_bytes(self) -> int | None:
        """What the file should hold, or None where an old SQLite left the page count unmaintained."""
        pages = int.from_bytes(self.raw[28:32], "big")
        page_size = int.from_bytes(self.raw[16:18], "big")
        valid = pages and self.change_counter == self.raw[92:96]
        return pages * (65536 if page_size == 1 else page_size) if valid else None


def read_header(path: str) -> Header:
    return Header(_open_files.read(path, _HEADER_BYTES, 0))


def sync_file(path: str) -> None:
    """Wait until the file and its name are on disk."""
    _open_files.sync(path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class FileState(Struct, frozen=True):
    """One file at one moment; `None` stands for a neighbour that is missing or empty."""

    size_bytes: int
    mtime_ns: int
    inode: int
    head: bytes = b""  #: a WAL's header: its salts change whenever it starts anew


class SourceState(Struct, frozen=True):
    main: FileState | None
    wal: FileState | None
    journal: FileState | None
    change_counter: bytes

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def is_settled(self) -> bool:
        """Whether any write after this moment will show; ask before copying."""
        return self.main is not None and not 0 <= time.time() - self.main.mtime_ns / 1e9 < _TICK_S

    def still_holds(self, now: SourceState) -> bool:
        """Whether a copy made between the two moments is of one state.

        A WAL may have grown meanwhile: frames are only appended, each carries a checksum over all before
        it, and as long as no checkpoint touched the main file any prefix of the log is a committed state.
        """
        return (
            self.main is not None
            and self.main == now.main
            and self.journal == now.journal
            and (self.wal is None) == (now.wal is None)
            and (
                self.wal is None
                or now.wal is None
                or (self.wal.head == now.wal.head and self.wal.size_bytes <= now.wal.size_bytes)
            )
        )


def neighbours(path: str) -> tuple[str, str]:
    """The WAL and the rollback journal of a database."""
    return path + "-wal", path + "-journal"


def read_state(path: str) -> SourceState:
    wal, journal = neighbours(path)
    main = _file_state(path)
    counter = read_header(path).change_counter if main else b""
    return SourceState(main, _file_state(wal, _WAL_HEADER_BYTES), _file_state(journal), counter)


def _file_state(path: str, head_bytes: int = 0) -> FileState | None:
    try:
        info = os.stat(path)
        if info.st_size == 0:
            return None
        return FileState(info.st_size, info.st_mtime_ns, info.st_ino, _head(path, head_bytes))
    except FileNotFoundError:
        return None


def _head(path: str, size: int) -> bytes:
    if not size:
        return b""
    with open(path, "rb") as file:  # SQLite locks only the main file and -shm, so this one may be closed
        return file.read(size)


def copy_files(path: str, copy: str) -> None:
    """The database, then its neighbours: in this order a WAL holds all that the main file lacks."""
    copy_main(path, copy)
    for source, target in zip(neighbours(path), neighbours(copy), strict=True):
        try:
            shutil.copyfile(source, target)
        except FileNotFoundError:
            if os.path.exists(target):
                os.unlink(target)  # left by an earlier attempt


def copy_main(path: str, copy: str) -> None:
    """The database alone: all there is as long as a lock keeps its writers waiting.

    On XFS and Btrfs both share their blocks until one is written, which takes neither time nor room.
    """
    with open(copy, "wb") as file:
        if _open_files.clone(path, file.fileno()):
            return
        offset = 0
        while block := _open_files.read(path, BLOCK_BYTES, offset):
            file.write(block)
            offset += len(block)


def is_writable(path: str) -> bool:
    """By anyone but root."""
    return bool(os.stat(path).st_mode & _ANY_WRITER)
