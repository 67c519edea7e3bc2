"""The plan's own commands at a run's start and end: told of the run by their environment and by the report's path.

No shell looks at them, their time is bounded, and what they print goes to the log. Only `on_start` has a say: where it
fails, the run stops before anything is written. How a run ended is true whatever a command makes of it.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, Literal, get_args

from migrator.errors import StoppedError
from migrator.run.ended import Ended
from migrator.run.history import RunFolder
from migrator.run.plan import Plan
from migrator.run.stopping import StopSignal, heeding_signals
from migrator.run.unattended import Command
from migrator.target.forecast import duration_words

Hook = Literal["on_start", "on_success", "on_failure"]

#: In an argument: the report's path. Where no argument has it, the path is one more argument.
REPORT_PLACE = "{report}"
#: What a command is told beside its environment. It inherits no other run's.
FACTS = tuple(f"MIGRATOR_{fact}" for fact in ("HOOK", "PLAN", "RUN_ID", "REPORT", "STATUS", "EXIT_CODE", "ERROR"))

_POLL_S = 0.05
#: From being asked to end to being ended.
_GRACE_S = 5.0
#: Of what a command prints, the end.
_OUTPUT_BYTES = 64 * 1024

log = logging.getLogger(__name__)


def start(plan: Plan, folder: RunFolder, stop: StopSignal) -> None:
    """Before anything is written. Raises StoppedError, code on_start_failed."""
    facts = {"MIGRATOR_RUN_ID": folder.run_id, "MIGRATOR_REPORT": str(folder.report)}
    if failure := _called(plan, "on_start", facts, stop):
        raise StoppedError(
            f"settings.on_start: {failure}\n  Mend what it asks for, and run again. Nothing was written.",
            code="on_start_failed",
        )


def end(plan: Plan, ended: Ended) -> None:
    """When the run has ended and its lock is free, so that the command may run migrator itself."""
    hook: Hook = "on_failure" if ended.exit_code else "on_success"
    facts = {
        "MIGRATOR_RUN_ID": ended.report.run_id if ended.report else "",
        "MIGRATOR_REPORT": str(ended.path or os.devnull),
        "MIGRATOR_STATUS": ended.status,
        "MIGRATOR_EXIT_CODE": str(ended.exit_code),
        "MIGRATOR_ERROR": ended.error or "",
    }
    stop = StopSignal(threading.Event())
    # A signal ends the command, and no longer the run: its exit code stays what it is.
    with heeding_signals(stop):
        failure = _called(plan, hook, facts, stop)
    if failure:
        log.warning("settings.%s: %s", hook, failure)


def _called(plan: Plan, hook: Hook, facts: Mapping[str, str], stop: StopSignal) -> str | None:
    """Why the command failed; None where it did not, or where there is none."""
    command: Command | None = getattr(plan.settings, hook)
    if command is None:
        return None
    inherited = {name: value for name, value in os.environ.items() if name not in FACTS}
    arguments = arguments_of(command, facts["MIGRATOR_REPORT"])
    try:
        with tempfile.TemporaryFile() as output:  # not a pipe: what the command leaves running may write on
            process = subprocess.Popen(
                arguments,
                cwd=command.folder,
                env={**inherited, "MIGRATOR_HOOK": hook, "MIGRATOR_PLAN": plan.name, **facts},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            failure = _awaited(process, plan.settings.hook_timeout_s, stop)
            for line in _last_lines(output):
                log.info("%s: %s", hook, line)
    except OSError as error:
        return f"{arguments[0]} cannot be run: {error.strerror}"
    return failure and f"{arguments[0]} {failure}"


def iter_missing(plan: Plan) -> Iterator[str]:
    """What is said of commands that cannot be found here: the night would be late to learn it."""
    for hook in get_args(Hook):
        command: Command | None = getattr(plan.settings, hook)
        if command and not shutil.which(_from_folder(command)):
            yield f"settings.{hook}: {command.arguments[0]} is not found here, or cannot be run"


def _from_folder(command: Command) -> str:
    """A path is one from the plan's folder, a name is looked for as a shell would."""
    program = command.arguments[0]
    return os.path.join(command.folder, program) if os.sep in program else program


def arguments_of(command: Command, report: str) -> list[str]:
    """
    >>> arguments_of(Command(("notify", "--quiet"), "/"), "/r.json")
    ['notify', '--quiet', '/r.json']
    >>> arguments_of(Command(("curl", "-d", "@{report}", "https://example.org"), "/"), "/r.json")
    ['curl', '-d', '@/r.json', 'https://example.org']
    """
    placed = [argument.replace(REPORT_PLACE, report) for argument in command.arguments]
    return placed if any(REPORT_PLACE in argument for argument in command.arguments) else [*placed, report]


def _awaited(process: subprocess.Popen[bytes], timeout_s: float, stop: StopSignal) -> str | None:
    until = time.monotonic() + timeout_s
    while process.poll() is None:
        if stop.flag.is_set():
            _end(process)
            return "was ended by a signal"
        if time.monotonic() > until:
            _end(process)
            return f"was ended after {duration_words(timeout_s)} (settings.hook_timeout)"
        time.sleep(_POLL_S)
    return f"ended with exit code {process.returncode}" if process.returncode else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """The command and what it started: asked first, then not asked."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)


def _last_lines(output: BinaryIO) -> Iterator[str]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _OUTPUT_BYTES))
    return iter(output.read().decode(errors="replace").splitlines())
