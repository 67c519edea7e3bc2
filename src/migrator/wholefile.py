"""Files that are there whole or not at all: written beside, on disk before they count, put in place by a rename."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write `path`. Whatever goes wrong on the way, a reader meets what was there before.

    What need not outlive the machine is not `durable`: waiting for the disk costs tens of milliseconds.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        part.replace(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:  # an interrupt, too, leaves nothing behind; the error goes on
        part.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """A rename is on disk when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
