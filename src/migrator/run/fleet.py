"""All source files of a command: found, taken and fitted one after the other, and what cannot be migrated set aside.

Every command goes this way, so that all of them leave out the same files.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing

from msgspec.structs import replace

from migrator.errors import DocumentError, MigratorError, Problem, SourceError, StoppedError
from migrator.run.fitting import FittedFile, Fitter
from migrator.run.plan import Plan
from migrator.run.setaside import SetAside, bounded, set_aside
from migrator.run.sources import SourceFile, Taking, find_sources, iter_taken
from migrator.source.snapshot import Snapshot, release

log = logging.getLogger(__name__)


def fit_files(
    plan: Plan, taking: Taking, now_s: int, problems: Sequence[Problem]
) -> tuple[list[FittedFile], tuple[SetAside, ...]]:
    """The files that can be migrated, and those that are left out.

    `problems` are those of the mappings that no file has a part in. Raises MigratorError where the command is to end.
    """
    found = find_sources(plan, taking.stop)
    if len(found) > 1:
        # Not every command checks a file that it is to read, but all of them have to leave out the same.
        taking = replace(taking, integrity=taking.integrity or plan.settings.integrity_check == "full")
    files, errors = _fitted(Fitter(plan, now_s, named=len(found) == 1), plan, found, taking)
    left_out = set_aside(errors, len(found), plan.settings, problems)
    for line in bounded([each.line for each in left_out]):
        log.warning("set aside: %s", line)
    return files, left_out


def _fitted(
    fitter: Fitter, plan: Plan, found: Sequence[SourceFile], taking: Taking
) -> tuple[list[FittedFile], dict[str, MigratorError]]:
    """The files that fit, and what stands against the others, by their paths."""
    files: list[FittedFile] = []
    errors: dict[str, MigratorError] = {}
    with closing(iter_taken(plan, found, taking)) as taken:
        for file, snapshot in taken:
            if taking.stop():
                raise StoppedError("stopped while the source was looked into", code="interrupted", retryable=True)
            if isinstance(snapshot, SourceError):
                errors[file.path] = snapshot
                continue
            try:
                files.append(fitter.fit(snapshot))
            except (DocumentError, SourceError) as error:
                release(snapshot)
                errors[file.path] = error
    return files, errors


def fit_again(plan: Plan, snapshots: Sequence[Snapshot], now_s: int) -> list[FittedFile]:
    """Files that were fitted by an earlier part of the command. Raises DocumentError, and SourceError."""
    fitter = Fitter(plan, now_s)
    return [fitter.fit(snapshot) for snapshot in snapshots]
