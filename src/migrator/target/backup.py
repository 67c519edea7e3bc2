"""A backup before a run: on demand where the engine can, else all items as JSON lines.

The lines are DynamoDB JSON, one item each, binary in base64: what `aws dynamodb put-item --item` takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from migrator.errors import TargetError
from migrator.mapping.model import Attributes, TableDefinition
from migrator.mapping.wirejson import to_base64
from migrator.target.backoff import REAL_TIME, Patience, RetryPolicy, Timing, ask, pause
from migrator.target.faults import Verdict
from migrator.target.reading import iter_pages
from migrator.target.tablefound import LACKING, ask_optional
from migrator.wholefile import whole_file

_AVAILABLE = RetryPolicy(max_attempts=10_000, give_up_after_s=3600.0, first_delay_s=0.1, longest_delay_s=10.0)


def backup_table(
    client: Any,
    definition: TableDefinition,
    name: str | None,
    state_dir: str | Path,
    now: datetime,
    *,
    timing: Timing = REAL_TIME,
) -> str:
    """Back the table up; where the backup is, for the report. TargetError backup_failed when it cannot be done."""
    name = name or f"{definition.name}-backup-{now:%Y-%m-%d}"
    try:
        made = create_backup(client, definition.name, name, timing=timing)
        if made is not None:
            return made
        path = _free_path(Path(state_dir) / "backups", name)
        count = dump_items(client, definition.name, path, timing=timing)
    except (TargetError, OSError) as error:
        retryable = isinstance(error, TargetError) and error.retryable
        raise TargetError(
            f'backup of table "{definition.name}" failed: {error}\n'
            "  nothing was written; settings: backup: false goes on without one",
            code="backup_failed",
            retryable=retryable,
        ) from error
    return f"{path} ({count} items)"


def create_backup(client: Any, table: str, name: str, *, timing: Timing = REAL_TIME) -> str | None:
    """An on-demand backup, once it is AVAILABLE; None where the engine has none."""
    answer = ask_optional(client, "create_backup", f'back up table "{table}"', timing, TableName=table, BackupName=name)
    if answer is LACKING:
        return None
    details = answer["BackupDetails"]
    patience = Patience(_AVAILABLE, timing.clock)
    while details.get("BackupStatus") == "CREATING":
        delay_s = patience.delay_s(Verdict.THROTTLED)
        if delay_s is None:
            raise TargetError(f'backup "{name}" is still not AVAILABLE', code="backup_failed", retryable=True)
        pause(delay_s, timing)
        details = ask(
            lambda: client.describe_backup(BackupArn=answer["BackupDetails"]["BackupArn"]),
            f'look at backup "{name}"',
            timing=timing,
        )["BackupDescription"]["BackupDetails"]
    if details.get("BackupStatus") not in ("AVAILABLE", None):
        raise TargetError(f'backup "{name}" is {details["BackupStatus"]}', code="backup_failed")
    return f"{name} ({details['BackupArn']})"


def dump_items(client: Any, table: str, path: Path, *, timing: Timing = REAL_TIME) -> int:
    """Write every item as a line; the file is there only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with whole_file(path) as lines:
        for item in iter_items(client, table, timing=timing):
            lines.write(json.dumps(item, default=to_base64, separators=(",", ":")).encode() + b"\n")
            count += 1
    return count


def iter_items(client: Any, table: str, *, timing: Timing = REAL_TIME) -> Iterator[Attributes]:
    """Every item of the table, page by page, read consistently."""
    for page in iter_pages(client, table, partial(ask, timing=timing)):
        yield from page.get("Items", ())


def _free_path(folder: Path, name: str) -> Path:
    """An earlier backup is never overwritten."""
    path, number = folder / f"{name}.jsonl", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.jsonl"
    return path
