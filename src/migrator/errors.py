"""Every error a user can meet, grouped by what the caller does about it.

MigratorError
├── UsageError          exit 2   mend the command, plan or mapping; nothing was written
│   └── DocumentError            … carrying every problem of the documents at once
├── StoppedError        exit 3   the source or the target stands in the way; what was done is kept
│   ├── SourceError
│   ├── TargetError
│   ├── RejectLimitError         on_reject: stop, or max_rejects reached
│   └── DeleteLimitError         max_deletes: all is written, and nothing is deleted
├── LockHeldError       exit 5   another run of the same plan is at work
└── InterruptedRun      exit 130 / 143

RowRejected is no MigratorError: it condemns one row, and `run.segment` is the one place that catches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

#: A table of 500 columns would fill the screen that an error may take.
_NAMES_SHOWN = 30


class MigratorError(Exception):
    """Something a person can act on. `str()` gives where, what and what to do, on one screen."""

    exit_code = 3
    retryable = False
    ends_run = False  #: there is nothing left to go on with

    def __init__(self, message: str, *, code: str, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.code = code
        if retryable is not None:
            self.retryable = retryable

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments are lost by Exception's own way of pickling, and errors cross process borders here.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[MigratorError], args: tuple[Any, ...], state: dict[str, Any]) -> MigratorError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(MigratorError):
    """The command line asks for something that cannot be."""

    exit_code = 2

    def __init__(self, message: str, *, code: str = "usage") -> None:
        super().__init__(message, code=code)


class Problem(Struct, frozen=True):
    """One thing wrong in a document.

    >>> print(Problem("orders.yaml", "entities.Order", "no key", ("add key: {PK: …}",)))
    orders.yaml: entities.Order: no key
      add key: {PK: …}
    """

    file: str
    path: str
    message: str
    hints: tuple[str, ...] = ()
    line: int | None = None  #: of the file, from 1, where known; for machines: a person has the key path

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.path) if part)
        return "\n  ".join((f"{where}: {self.message}", *self.hints))


def known_names(what: str, names: Iterable[str], wrong: str) -> str:
    """The hint for a name that is not known: the names there are, and the one that may be meant.

    >>> known_names("columns", ["id", "placed_at", "total"], "placed")
    'columns: id, placed_at, total.  Did you mean "placed_at"?'
    >>> known_names("tables", [], "x")
    'tables: none'
    """
    listed = list(names)
    folded = {name.lower(): name for name in reversed(listed)}
    near = get_close_matches(wrong.lower(), folded, n=1)
    more = f", … {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    text = f"{what}: {', '.join(listed[:_NAMES_SHOWN]) or 'none'}{more}"
    return f'{text}.  Did you mean "{folded[near[0]]}"?' if near else text


class DocumentError(UsageError):
    """A plan or mapping that is missing, not valid, or does not fit the source's schema."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), code="document")
        self.problems = tuple(problems)


class StoppedError(MigratorError):
    """The run cannot go on; running it again may."""


class SourceError(StoppedError):
    """The file is missing, damaged, locked, or changed under our feet."""


class TargetError(StoppedError):
    """The table is missing or another one, access is denied, or nobody answers."""


class RejectLimitError(StoppedError):
    """More rows were rejected than the plan allows."""


class DeleteLimitError(StoppedError):
    """More items would be deleted than the plan allows."""

    ends_run = True


class LockHeldError(MigratorError):
    """Another run of the same plan holds the lock."""

    exit_code = 5
    retryable = True


class InterruptedRun(MigratorError):
    """SIGINT (130) or SIGTERM (143): drained and stopped."""

    retryable = True

    def __init__(self, signal_number: int) -> None:
        super().__init__("stopped by a signal; run the same command again", code="interrupted")
        self.exit_code = 128 + signal_number


class RowRejected(Exception):
    """This row cannot become an item. `code` is stable and documented in docs/rejects.md."""

    def __init__(self, code: str, detail: str, column: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.column = column
