"""The state folder's record of runs: a folder each, with the report, the rejects and the failed items.

It also remembers when the last run of a plan against a target began, since `{now: …}` means that moment
when the table is verified.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from migrator.run.plan import Plan
from migrator.run.report import write_json
from migrator.target.session import TargetSettings


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps its files."""

    run_id: str
    path: Path
    now_s: int  #: epoch seconds of the run's start

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def rejects(self) -> Path:
        return self.path / "rejects.jsonl"

    @property
    def failed(self) -> Path:
        return self.path / "failed.jsonl"

    def prune(self, keep: int) -> None:
        """Remove the folders of the oldest runs of the state folder, all but `keep`: this one counts as the newest."""
        runs = self.path.parent
        folders = sorted(folder for folder in runs.iterdir() if folder.is_dir()) if runs.exists() else []
        others = [folder for folder in folders if folder != self.path]  # ids of one second have no order
        for folder in others[: max(0, len(others) - max(0, keep - 1))]:
            shutil.rmtree(folder, ignore_errors=True)


def new_run(plan: Plan) -> RunFolder:
    """Name a run, by an id that sorts by time. Its folder comes with its first file."""
    now_s = int(time.time())
    run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now_s))}-{secrets.token_hex(3)}"
    return RunFolder(run_id, _runs(plan) / run_id, now_s)


def remember_start(plan: Plan, folder: RunFolder) -> None:
    """Before the first item is written: what `{now: …}` is from here on, in this target's tables."""
    write_json(_starts_file(plan), _starts(plan) | {_target_name(plan.target): folder.now_s})


def last_start(plan: Plan) -> int | None:
    """When the last run of this plan against this target began, epoch seconds."""
    return _starts(plan).get(_target_name(plan.target))


def _runs(plan: Plan) -> Path:
    return Path(plan.settings.state_dir) / quote(plan.name, safe=" ") / "runs"


def _starts_file(plan: Plan) -> Path:
    return Path(plan.settings.state_dir) / quote(plan.name, safe=" ") / "starts.json"


def _starts(plan: Plan) -> dict[str, int]:
    path = _starts_file(plan)
    if not path.exists():
        return {}
    starts: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return starts


def _target_name(target: TargetSettings) -> str:
    if target.local:
        return "local"
    return target.endpoint_url or endpoint_of_environment() or f"aws:{target.region or ''}"


def endpoint_of_environment() -> str | None:
    """Where boto3 goes when the plan names no endpoint."""
    return os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("AWS_ENDPOINT_URL")
