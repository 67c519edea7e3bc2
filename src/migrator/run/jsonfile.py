"""Documents that the commands write, as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrator.errors import StoppedError
from migrator.wholefile import whole_file


def write_json(path: str | Path, document: dict[str, Any]) -> None:
    """Atomically: a reader meets the whole document or the one before. A StoppedError says what is in the way."""
    target = Path(path).absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as file:
            file.write(f"{json_text(document)}\n".encode())
    except OSError as error:
        raise StoppedError(f"{target}: cannot be written: {error.strerror}", code="report_unwritable") from error


def json_text(document: dict[str, Any]) -> str:
    """The document as all commands spell it."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from JSON in the source
        text = json.dumps(document, indent=2)
    return text


def timestamp(moment: datetime) -> str:
    """
    >>> timestamp(datetime(2026, 11, 21, 10, tzinfo=UTC))
    '2026-11-21T10:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
