"""The command tree, and `main`, which the console script calls."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

import migrator
from migrator.cli import commands, files, iam, rollback, runs, suggest, tables
from migrator.cli.logs import configure, log_options
from migrator.cli.outcome import exit_code_of
from migrator.cli.streams import prepare_streams

#: Objects that are new, net of those that are gone.
_COLLECT_EVERY = 200_000


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(migrator.__version__, prog_name="migrator")
@log_options
def app() -> None:
    """Move SQLite databases into DynamoDB tables, exactly, and prove it afterwards.

    The usual order: analyze a file, write a mapping and a plan, then check, run --dry-run, run and verify it.
    Standard output carries a command's result; logs and progress go to standard error.

    \b
    Exit codes
      0    everything asked for was done
      1    finished, but rows were rejected or items failed: the report names them
      2    wrong usage, or a plan or mapping that is not valid: nothing was written
      3    stopped by the source or the target; what was done is kept
      4    verify, check or table check found differences
      5    another run of the same plan holds the lock
      130  interrupted (143: terminated); run again to go on
    """


for command in (
    commands.analyze,
    suggest.suggest,
    commands.check,
    commands.run,
    commands.verify,
    runs.retry,
    rollback.rollback,
    runs.runs,
    tables.table,
    iam.iam,
    files.dump,
    commands.local,
):
    app.add_command(command)


def _end_on_sigterm(number: int, _frame: FrameType | None) -> NoReturn:
    """As SIGINT does: unwind, so that snapshots and server processes are let go. A run sets a handler of its own."""
    signal.signal(number, signal.SIG_IGN)  # timeout(1) sends it twice
    sys.exit(128 + number)


def run_command(arguments: Sequence[str]) -> int:
    """The exit code that a shell would get from `migrator ARGUMENTS`."""
    configure("info", "text")
    return exit_code_of(lambda: app.main(args=list(arguments), prog_name="migrator", standalone_mode=False))


def main() -> NoReturn:
    prepare_streams()
    logging.captureWarnings(True)
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    # What is imported stays: to look for garbage in it again and again takes a quarter of the time of a short command.
    gc.set_threshold(_COLLECT_EVERY)
    try:
        sys.exit(run_command(sys.argv[1:]))
    finally:
        gc.freeze()
