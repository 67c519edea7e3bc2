"""Standard streams as a scheduler or a shell may leave them: closed, piped to who has gone, or of any encoding.

None of it changes what is done with the data, nor the exit code.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


def prepare_streams() -> None:
    """Before anything is opened or printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that is missing. Left free, the next file to be opened would get it,
            # and be written into by whatever prints.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 (as long as the process)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 (the same)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names and texts hold anything; a terminal that cannot show a letter must not end a migration.
            stream.reconfigure(errors="backslashreplace")


def abandon(stream: TextIO) -> None:
    """Nobody reads it any more. The interpreter flushes once more when it ends, and would exit 120 if that fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
