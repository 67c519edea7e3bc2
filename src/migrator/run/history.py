"""The state folder's record of runs: a folder each, with the report, the rejects and the failed items.

What an unfinished run needs to go on lies in a second folder of its own, and goes with its end.

It also remembers when the last run of a plan against a target began, since `{now: …}` means that moment
when the table is verified.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from migrator.run.jsonfile import write_json
from migrator.run.plan import Plan
from migrator.target.session import TargetSettings

_SNAPSHOTS = "snapshots"
_INTENTS = "intents"
_TARGET_DIGITS = 16


class RunFolder(Struct, frozen=True):
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

    @property
    def undo(self) -> Path:
        """What the run wrote, and what it replaced: there only with `settings: rollback: true`."""
        return self.path / "undo"

    @property
    def undo_of_retries(self) -> Path:
        """The same of its retries, in the order in which they came (`undo.layers`)."""
        return self.path / "undo-retries"

    @property
    def rollback_report(self) -> Path:
        return self.path / "rollback.json"

    @property
    def left_alone(self) -> Path:
        """Items of the run that a rollback left alone, since somebody changed them."""
        return self.path / "rollback.jsonl"

    @property
    def snapshots(self) -> Path:
        """Private copies of the sources, and what is proved of them: there for as long as the run is unfinished."""
        return self.path.parents[1] / _SNAPSHOTS / self.run_id

    def intents(self, target: str) -> Path:
        """What the run was about to send to a target: there for as long as no ledger knows."""
        return self.snapshots / _INTENTS / target[:_TARGET_DIGITS]

    def left_intents(self) -> Iterator[tuple[str, Path]]:
        """What other runs left behind: the target and the folder of each."""
        for folder in sorted(self.snapshots.parent.glob(f"*/{_INTENTS}/*")):
            if folder.parents[1] != self.snapshots:
                yield folder.name, folder

    def prune(self, keep: int, *, spare: Iterable[str] = ()) -> None:
        """Remove the folders of the oldest runs, all but `keep` (this one is the newest) and an unfinished one."""
        spared = {self.run_id, *spare, *_names(self.snapshots.parent)}
        others = sorted((self.path.with_name(name) for name in _names(self.path.parent) - spared), key=_age)
        for folder in others[: max(0, len(others) - max(0, keep - 1))]:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep_snapshots(self) -> None:
        """Remove what runs left that will not go on: for the one unfinished run of a plan, under its lock."""
        for run_id in _names(self.snapshots.parent) - {self.run_id}:
            shutil.rmtree(self.snapshots.with_name(run_id), ignore_errors=True)

    def remove_snapshots(self) -> None:
        shutil.rmtree(self.snapshots, ignore_errors=True)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()} if folder.exists() else set()


def new_run(plan: Plan) -> RunFolder:
    """Name a run, by an id that sorts by time. Its folder comes with its first file."""
    now_s = int(time.time())
    run_id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now_s))}-{secrets.token_hex(3)}"
    return run_folder(plan, run_id, now_s)


def run_folder(plan: Plan, run_id: str, now_s: int) -> RunFolder:
    return RunFolder(run_id, _folder(plan) / "runs" / run_id, now_s)


def run_folders(plan: Plan) -> list[Path]:
    """The folders of all runs that are kept, newest first."""
    runs = _folder(plan) / "runs"
    return sorted((runs / name for name in _names(runs)), key=_age, reverse=True)


def _age(folder: Path) -> tuple[str, int]:
    """Ids of one second have no order, so that the report's time decides between them."""
    report = folder / "report.json"
    return folder.name.partition("-")[0], report.stat().st_mtime_ns if report.exists() else 0


def state_file(plan: Plan) -> Path:
    """Where the plan's checkpoint is."""
    return _folder(plan) / "state.sqlite"


def verification_folder(plan: Plan) -> Path:
    """Where the plan's unfinished verification keeps what going on takes."""
    return _folder(plan) / "verify"


def fetched_folder(plan: Plan) -> Path:
    """Where sources in S3 are fetched to: what the last command read of them stays for the next."""
    return _folder(plan) / "fetched"


def progress_file(plan: Plan) -> Path:
    """Where a run under way tells how far it is."""
    return _folder(plan) / "progress.json"


def ledger_file(plan: Plan, target: str) -> Path:
    """Where the plan's ledger of a target is, by the target's digest."""
    return _folder(plan) / "ledgers" / f"{target[:_TARGET_DIGITS]}.sqlite"


def marks_file(plan: Plan, target: str) -> Path:
    """Where the plan's watermarks of a target are, by the target's digest."""
    return _folder(plan) / "ledgers" / f"{target[:_TARGET_DIGITS]}.marks.json"


def remember_start(plan: Plan, folder: RunFolder) -> None:
    """Before the first item is written: what `{now: …}` is from here on, in this target's tables."""
    write_json(_starts_file(plan), _starts(plan) | {_target_name(plan.target): folder.now_s})


def last_start(plan: Plan) -> int | None:
    """When the last run of this plan against this target began, epoch seconds."""
    return _starts(plan).get(_target_name(plan.target))


def _folder(plan: Plan) -> Path:
    return Path(plan.settings.state_dir) / quote(plan.name, safe=" ")


def _starts_file(plan: Plan) -> Path:
    return _folder(plan) / "starts.json"


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
