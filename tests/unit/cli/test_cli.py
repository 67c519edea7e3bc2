"""The front door: what every command takes, what goes where, and which exit code a shell gets."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from migrator.cli.app import app, run_command
from migrator.cli.logs import configure
from migrator.cli.options import show_progress
from migrator.cli.outcome import exit_code_of, show, show_or_save
from migrator.errors import (
    DocumentError,
    InterruptedRun,
    LockHeldError,
    MigratorError,
    Problem,
    RejectLimitError,
    SourceError,
    TargetError,
    UsageError,
)

HEAVY = ("boto3", "botocore", "sqlalchemy", "moto", "pydantic", "yaml", "flask", "tqdm", "tenacity")


def paths(command: click.Command, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield prefix
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from paths(child, (*prefix, name))


COMMANDS = [pytest.param(path, id=" ".join(path) or "migrator") for path in paths(app)]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, log = logging.getLogger(), logging.getLogger("migrator")
    handlers, level = list(root.handlers), log.level
    configure("info", "text")
    yield
    root.handlers[:] = handlers
    log.setLevel(level)


def shell(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "migrator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


# ---- every command


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_tells_its_options_on_standard_output(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*path, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"Usage: migrator {' '.join(path)}".strip())
    assert "--log-level" in shown.out
    assert "--log-format" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_refuses_an_unknown_option_with_2(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*path, "--no-such-option"]) == 2
    shown = capsys.readouterr()
    assert "--no-such-option" in shown.err
    assert shown.out == ""


def test_help_loads_nothing_heavy() -> None:
    program = f"""
import sys
from migrator.cli.app import run_command
code = run_command(["run", "--help"])
sys.exit(code or ", ".join(set({HEAVY!r}) & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_is_the_command() -> None:
    done = shell("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("migrator, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["run"],
        ["analyze"],
        ["analyze", "x.sqlite", "--format", "pdf"],
        ["analyze", "x.sqlite", "-o", "no/such/folder/out.txt"],
        ["run", "plan.yaml", "--report", "."],
        ["verify", "plan.yaml", "--sample", "0"],
        ["table", "check"],
        ["local", "--port", "70000"],
        ["--log-level", "loud", "run", "plan.yaml"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_exits_2_and_says_why_on_standard_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err


# ---- from an error to an exit code


def failing(error: BaseException) -> int:
    def act() -> int:
        raise error

    return exit_code_of(act)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (DocumentError([Problem("a.yaml", "entities", "x")]), 2),
        (click.ClickException("x"), 2),
        (click.FileError("x"), 2),
        (SourceError("x", code="source_missing"), 3),
        (TargetError("x", code="access_denied"), 3),
        (RejectLimitError("x", code="max_rejects"), 3),
        (LockHeldError("x", code="locked"), 5),
        (InterruptedRun(signal.SIGINT), 130),
        (InterruptedRun(signal.SIGTERM), 143),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (OSError(28, "No space left on device"), 3),
        (MemoryError(), 3),
        (ZeroDivisionError("x"), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_error_becomes_its_documented_exit_code_without_a_traceback(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (4, 4)])
def test_what_a_command_returns_is_its_exit_code(returned: int | None, code: int) -> None:
    assert exit_code_of(lambda: returned) == code


def test_the_problems_of_documents_begin_with_their_file(capsys: pytest.CaptureFixture[str]) -> None:
    failing(DocumentError([Problem("a.yaml", "entities.A", "no key"), Problem("b.yaml", "", "empty")]))
    assert capsys.readouterr().err == "a.yaml: entities.A: no key\nb.yaml: empty\n"


def test_other_errors_begin_with_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    failing(SourceError("shop.sqlite: is a folder", code="source_folder"))
    assert capsys.readouterr().err == "migrator: shop.sqlite: is a folder\n"


def test_a_bug_says_that_it_is_one_and_where_to_report_it(capsys: pytest.CaptureFixture[str]) -> None:
    failing(ZeroDivisionError("division by zero"))
    shown = capsys.readouterr().err
    assert "bug in migrator: ZeroDivisionError: division by zero (test_cli.py:" in shown
    assert "report it" in shown


@pytest.mark.parametrize("error", [SourceError("x", code="y"), ZeroDivisionError("x")], ids=["expected", "bug"])
def test_debug_adds_the_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="debug")
    failing(error)
    assert "Traceback" in capsys.readouterr().err


def test_with_json_logs_an_error_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    failing(MigratorError("no such\nfile", code="source_missing"))
    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert (logged["level"], logged["message"], logged["code"], logged["exit_code"]) == (
        "error",
        "no such\nfile",
        "source_missing",
        3,
    )


# ---- logs


def test_logs_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("migrator.run").info("segment done")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("Z INFO    segment done\n")


def test_a_log_below_the_level_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="error")
    logging.getLogger("migrator.run").warning("slow")
    assert capsys.readouterr().err == ""


def test_json_logs_carry_what_was_added_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    logging.getLogger("migrator.run").warning("throttled %s", "twice", extra={"entity": "User"})
    logged = json.loads(capsys.readouterr().err)
    assert (logged["message"], logged["entity"], logged["logger"]) == ("throttled twice", "User", "migrator.run")


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure()
    logging.getLogger("migrator.run").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_the_log_of_the_sdk_stays_off(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="debug")
    logging.getLogger("botocore.auth").debug("CanonicalRequest: secret")
    assert capsys.readouterr().err == ""


def test_no_progress_bar_without_a_terminal() -> None:
    assert not show_progress()


# ---- results


def test_a_result_can_go_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_or_save("5 rows", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "5 rows\n"
    assert capsys.readouterr().out == ""


def test_a_result_that_cannot_be_saved_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        show_or_save("5 rows", tmp_path)


def test_a_reader_who_has_gone_does_not_change_the_exit_code() -> None:
    program = (
        "import sys\n"
        "from migrator.cli.outcome import exit_code_of, show\n"
        "sys.stdin.readline()\n"
        "sys.exit(exit_code_of(lambda: show('x' * 100_000) or show('y') or 4))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate("go\n", timeout=60)
    assert (process.returncode, errors) == (4, "")


def test_show_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    show("one")
    assert capsys.readouterr().out == "one\n"


def test_a_letter_that_the_terminal_lacks_is_escaped() -> None:
    done = shell("analyze", "fehlt-ü.sqlite", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 3
    assert "fehlt-\\xfc.sqlite" in done.stderr


# ---- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_signal_unwinds_the_command(number: signal.Signals, code: int) -> None:
    program = (
        "import signal, time\n"
        # A shell's background job begins with SIGINT ignored, and so would whatever the tests start.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import click\n"
        "from migrator.cli import app as front\n"
        "@front.app.command('wait')\n"
        "def wait():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        time.sleep(0.4)\n"
        "        print('let go', flush=True)\n"
        "import sys\n"
        "sys.argv[1:] = ['wait']\n"
        "front.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        if number == signal.SIGTERM:  # as timeout(1) sends it: twice
            time.sleep(0.1)
            process.send_signal(number)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "let go\n")
    assert "Traceback" not in errors


# ---- analyze


@pytest.mark.parametrize("content", [None, b"", b"PK" * 2000], ids=["missing", "empty", "not SQLite"])
def test_analyze_of_what_is_no_database_exits_3(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "shop.sqlite"
    if content is not None:
        source.write_bytes(content)
    assert run_command(["analyze", str(source)]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert str(source) in shown.err
    assert source.exists() == (content is not None)


def test_analyze_of_a_folder_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["analyze", str(tmp_path)]) == 3
    assert str(tmp_path) in capsys.readouterr().err


# ---- pages and prices


def test_a_page_is_missed_before_the_work_and_not_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is not even looked for."""
    for package in ("jinja2", "markupsafe", "py_mini_racer"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "migrator.advise.page_analysis", raising=False)
    assert run_command(["analyze", "missing.sqlite", "--format", "html"]) == 2
    assert 'pip install "migrator[html]"' in capsys.readouterr().err


def test_no_values_without_a_page_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "missing.yaml", "--no-values"]) == 2
    assert "needs --html FILE" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["analyze", "missing.sqlite"], ["run", "missing.yaml"]])
def test_prices_can_be_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text("{}")
    monkeypatch.setenv("MIGRATOR_PRICES", str(prices))
    assert run_command(command) == 2
    assert f"{prices}: is no prices file" in capsys.readouterr().err
