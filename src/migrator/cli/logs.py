"""Logs for a person or for a collector, always on standard error.

`--log-level` is about this project's logger alone: botocore's debug log would put signed requests on the screen. What
other packages warn of comes the same way out, so that a log of JSON lines has no others. A request can still get into a
traceback: DynamoDB answers a wrong signature by quoting it, so what goes out is looked through.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from migrator.cli.streams import abandon

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

#: what every LogRecord has; anything else came in by `extra=` and belongs into the JSON
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


#: The header of a request, as text or inside of JSON.
_SESSION_TOKEN = re.compile(r"(x-amz-security-token\s*[:=]\s*)[^\s'\"\\&]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """
    >>> without_secrets("host:example.org x-amz-security-token:IQoJb3Jp")
    'host:example.org x-amz-security-token:…'
    """
    return _SESSION_TOKEN.sub(r"\1…", text)


class TextFormatter(logging.Formatter):
    """`2026-11-21T10:00:00Z WARNING text`, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what `extra=` added.

    >>> record = logging.makeLogRecord({"name": "migrator.run", "levelname": "INFO", "msg": "done", "rows": 5})
    >>> {k: v for k, v in json.loads(JsonFormatter().format(record)).items() if k != "time"}
    {'level': 'info', 'logger': 'migrator.run', 'message': 'done', 'rows': 5}
    """

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class StandardErrorHandler(logging.Handler):
    """Writes to today's `sys.stderr`, above a progress bar if one is on the screen."""

    def emit(self, record: logging.LogRecord) -> None:
        bars = sys.modules.get("tqdm")  # not imported means there is no bar
        try:
            text = without_secrets(self.format(record))
            if bars is not None:
                bars.tqdm.write(text, file=sys.stderr)
            else:
                print(text, file=sys.stderr, flush=True)  # noqa: T201 (this is the log's own way out)
        except BrokenPipeError:
            abandon(sys.stderr)
        except (ValueError, TypeError):
            self.handleError(record)


def configure(level: str | None = None, log_format: str | None = None) -> None:
    """Set up the log; what is None stays as it was."""
    log = logging.getLogger("migrator")
    handler = _handler()
    if handler is None:
        handler = StandardErrorHandler()
        handler.setFormatter(TextFormatter())
        # The root's own level stays at warning, and holds for every package that says nothing else.
        logging.getLogger().addHandler(handler)
        log.setLevel(logging.INFO)
    if level:
        log.setLevel(level.upper())
    if log_format:
        handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())


def as_json() -> bool:
    handler = _handler()
    return handler is not None and isinstance(handler.formatter, JsonFormatter)


def _handler() -> StandardErrorHandler | None:
    return next((h for h in logging.getLogger().handlers if isinstance(h, StandardErrorHandler)), None)


def log_options(function: _Decorated) -> _Decorated:
    """`--log-level` and `--log-format`, which every command takes. They act as soon as they are parsed."""

    def set_level(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        configure(level=value)

    def set_format(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        configure(log_format=value)

    function = click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=set_format,
        help="How log lines are written to standard error.  [default: text]",
    )(function)
    return click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        expose_value=False,
        callback=set_level,
        help="What is logged; debug adds the traceback to errors.  [default: info]",
    )(function)
