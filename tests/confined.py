"""Become a command that has less than this process: `python confined.py PROGRAM ARGUMENT…`.

What the service unit takes away and a process can take from itself: capabilities (by setpriv), new privileges, and
memory that is both writable and executable, where the kernel (6.3 or newer) can refuse it.
"""

from __future__ import annotations

import ctypes
import os
import sys

# linux/prctl.h
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
SETPRIV = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


def main(command: list[str]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
