"""Files of a plan that cannot be migrated: named and left out before anything is written, so that the others arrive.

Where that would be no help, what is wrong with them ends the command: of one file alone, of all of them, where the plan
says to stop, and where a file that is left out would look like rows that were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from migrator.errors import DocumentError, MigratorError, Problem, SourceError, StoppedError
from migrator.run.settings import Settings

#: An error names so many files or problems one by one: the report has all.
TOLD = 20


class SetAside(Struct, frozen=True):
    """A file that is left out, and why."""

    path: str
    code: str
    message: str  #: all of it

    @classmethod
    def of(cls, path: str, error: MigratorError) -> SetAside:
        return cls(path, error.code, str(error))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def reason(self) -> str:
        """On one line.

        >>> SetAside("/a.sqlite", "source_empty", "/a.sqlite: the file is empty\\n  check how it was made").reason
        'the file is empty'
        >>> SetAside("/a.sqlite", "document", "m.yaml: x\\n  columns: id\\nm.yaml: y").reason
        'm.yaml: x (and 1 more)'
        """
        problems = [line for line in self.message.splitlines() if not line.startswith(" ")]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return problems[0].removeprefix(f"{self.path}: ") + more

    @property
    def line(self) -> str:
        return f"{self.path}: {self.reason}"


def bounded(lines: Sequence[str]) -> Iterator[str]:
    """The first of them, and how many there are beside.

    >>> list(bounded(["a"] * 22))[-1]
    '… 2 more'
    """
    yield from lines[:TOLD]
    if len(lines) > TOLD:
        yield f"… {len(lines) - TOLD} more"


def set_aside(
    errors: Mapping[str, MigratorError], count: int, settings: Settings, problems: Sequence[Problem] = ()
) -> tuple[SetAside, ...]:
    """The files that are left out, of so many that the plan names. Raises MigratorError where the command is to end.

    `problems` are those of the mappings that no file has a part in.
    """
    if problems:
        misfits = [error for error in errors.values() if isinstance(error, DocumentError)]
        raise DocumentError([*problems, *_together(misfits)])
    left_out = tuple(SetAside.of(path, error) for path, error in errors.items())
    if left_out and len(left_out) == count:
        raise _none_is_left(list(errors.values()), left_out)
    if left_out and settings.on_reject == "stop":
        misfit = any(isinstance(error, DocumentError) for error in errors.values())
        raise _stopped(left_out, count, "the plan says on_reject: stop", exit_code=2 if misfit else 3)
    if left_out and settings.incremental is not None:
        reason = "with settings.incremental its rows would look deleted"
        raise _stopped(left_out, count, reason)
    return left_out


def _none_is_left(errors: Sequence[MigratorError], left_out: Sequence[SetAside]) -> MigratorError:
    if len(errors) == 1:
        return errors[0]
    misfits = [error for error in errors if isinstance(error, DocumentError)]
    if misfits:
        # The mapping is what most likely stands against the files that can be read.
        others = [each for each, error in zip(left_out, errors, strict=True) if not isinstance(error, DocumentError)]
        return DocumentError([*_together(misfits), *(Problem(each.path, "", each.reason) for each in others[:TOLD])])
    first = errors[0]
    lines = "".join(f"\n  {line}" for line in bounded([each.line for each in left_out]))
    return SourceError(
        f"none of the {len(errors)} source files can be migrated:{lines}\n  Mend them, and run again.",
        code=first.code,
        retryable=first.retryable,
    )


def _together(misfits: Sequence[DocumentError]) -> list[Problem]:
    """The problems of all files, each once, with how many of them have it."""
    counts: dict[Problem, int] = {}
    for error in misfits:
        for problem in error.problems:
            counts[problem] = counts.get(problem, 0) + 1
    told = [_counted(problem, count) for problem, count in list(counts.items())[:TOLD]]
    if len(counts) > TOLD:
        last = next(reversed(counts))
        told.append(Problem(last.file, "", f"{len(counts) - TOLD} more problems"))
    return told


def _counted(problem: Problem, count: int) -> Problem:
    if count == 1:
        return problem
    return Problem(problem.file, problem.path, problem.message, (*problem.hints, f"in {count} files"), problem.line)


def _stopped(left_out: Sequence[SetAside], count: int, reason: str, exit_code: int = 3) -> StoppedError:
    lines = "".join(f"\n  {line}" for line in bounded([each.line for each in left_out]))
    error = StoppedError(
        f"{len(left_out)} of {count} source files cannot be migrated, and {reason}:{lines}\n"
        "  Mend them or leave them out of source:, and run again. Nothing was written.",
        code="source_set_aside",
    )
    error.exit_code = exit_code
    return error


def from_json(documents: Iterable[Mapping[str, Any]]) -> tuple[SetAside, ...]:
    return tuple(SetAside(**document) for document in documents)
