"""From what happened to an exit code: the one error handler, and output that survives a closed pipe."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TextIO

import click

from migrator.cli.logs import as_json, without_secrets
from migrator.cli.options import STANDARD_OUTPUT
from migrator.cli.streams import abandon
from migrator.errors import DocumentError, MigratorError, UsageError

_log = logging.getLogger("migrator.cli")

USAGE = 2
STOPPED = 3
INTERRUPTED = 130


def exit_code_of(action: Callable[[], Any]) -> int:
    """Run a command. Each way it can end becomes an exit code and, where it failed, one message without a traceback."""
    try:
        return int(action() or 0)
    except click.ClickException as error:
        return _report_usage(error)
    except (click.Abort, KeyboardInterrupt):
        return complain("interrupted", "interrupted", INTERRUPTED)
    except DocumentError as error:
        # Its lines begin with the file, as editors and people like to find them.
        return complain(str(error), error.code, error.exit_code, prefix="")
    except MigratorError as error:
        return complain(str(error), error.code, error.exit_code)
    except OSError as error:
        return complain(str(error), "os_error", STOPPED)
    except MemoryError:
        return complain("out of memory; lower settings.parallelism or settings.connections", "out_of_memory", STOPPED)
    except Exception as error:  # the last boundary: a scheduler needs one of the documented codes, also for our bugs
        return complain(_bug(error), "bug", STOPPED)


def _bug(error: Exception) -> str:
    """
    >>> print(_bug(ValueError("x")).splitlines()[0])
    this is a bug in migrator: ValueError: x
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return (
        f"this is a bug in migrator: {type(error).__name__}: {error}{place}\n"
        "  Please report it on the project's issue page with what --log-level debug shows. What was done is kept."
    )


def complain(message: str, code: str, exit_code: int, prefix: str = "migrator: ") -> int:
    """One error, on standard error; as a line of the log where that is JSON. Gives the exit code back."""
    traced = _log.isEnabledFor(logging.DEBUG) and sys.exc_info()[0] is not None
    if as_json():
        _log.error(message, extra={"code": code, "exit_code": exit_code}, exc_info=traced)
        return exit_code
    if traced:
        show(without_secrets(traceback.format_exc().rstrip()), sys.stderr)
    show(prefix + message, sys.stderr)
    return exit_code


def _report_usage(error: click.ClickException) -> int:
    """click's own words. Its exit code is 1 for some kinds, and ours for a wrong command line is always 2."""
    context = getattr(error, "ctx", None)
    usage = f"{context.get_usage()}\nTry '{context.command_path} --help'.\n" if context else ""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        show(error.format_message(), sys.stderr)
        return USAGE
    show(f"{usage}migrator: {error.format_message()}", sys.stderr)
    return USAGE


def show(text: str, stream: TextIO | None = None) -> None:
    """Print; a reader who has gone (`| head`) is no failure and does not change the exit code."""
    stream = stream or sys.stdout
    try:
        click.echo(text, file=stream)
        stream.flush()
    except BrokenPipeError:
        abandon(stream)


class _Result(Protocol):
    def to_text(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


def show_result(result: _Result, report: Path | None) -> None:
    """What a command found, for a person; as JSON where `--report` asks for it on standard output."""
    if report == STANDARD_OUTPUT:
        from migrator.run.jsonfile import json_text

        show(json_text(result.to_json()))
    else:
        show(result.to_text())


def show_or_save(text: str, path: Path | None) -> None:
    """The result, to standard output or to the file of `-o`."""
    if path is None or path == STANDARD_OUTPUT:
        show(text)
        return
    try:
        path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}", code="output") from error
