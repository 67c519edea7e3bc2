"""A verification that can be cut off: what it keeps until it ends, and whether the next one goes on with that.

It lies in one folder a plan: the digests of what was rendered and read, private copies of the sources, and
`begun.json`, which says what they are of. A run that cannot go on is refused; a verification wrote nothing, so it
begins afresh, and the log says why. A kill leaves the folder whole: each step is one transaction of the digests' file.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from migrator.errors import LockHeldError
from migrator.mapping.model import TableDefinition
from migrator.run.checkpoint import TableState
from migrator.run.digests import is_whole
from migrator.run.fingerprint import changed, table_identity, target_digest, verification_guards
from migrator.run.history import last_start, verification_folder
from migrator.run.jsonfile import write_json
from migrator.run.lock import plan_lock
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.resume import changed_sources, changed_tables
from migrator.run.setaside import SetAside, from_json
from migrator.source.snapshot import Snapshot, keep
from migrator.target.session import create_client
from migrator.target.tablefound import describe

_BEGUN = "begun.json"
_STORE = "verify.sqlite"

log = logging.getLogger(__name__)


class Begun(Struct, frozen=True):
    """What a verification began with."""

    started_at: str  #: ISO 8601: the moment of the source that it compares with
    now_s: int  #: what `{now: …}` means
    guards: Mapping[str, str]
    target: str  #: digest of the tables' place
    tables: Mapping[str, TableState]
    snapshots: tuple[Snapshot, ...]
    set_aside: tuple[SetAside, ...]
    segment_rows: int


class Unfinished:
    """A verification under way, in its folder."""

    def __init__(self, folder: Path, plan: Plan, guards: Mapping[str, str]) -> None:
        self.folder = folder
        self.begun = _load(folder / _BEGUN)  #: by an earlier part, until it is given up
        self._plan = plan
        self._guards = guards
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._now_s = last_start(plan) or int(time.time())

    @property
    def now_s(self) -> int:
        return self.begun.now_s if self.begun else self._now_s

    @property
    def store(self) -> Path:
        """The digests' file."""
        return self.folder / _STORE

    def take_up(self, *, restart: bool) -> None:
        """Go on with what an earlier part left, where that fits."""
        if self.begun is None:
            self.remove()
        elif reasons := ["--restart"] if restart else list(self._changes(self.begun)):
            log.warning("the unfinished verification of %s is given up: %s", self.begun.started_at, ", ".join(reasons))
            self.begun = None
            self.remove()
        else:
            log.info("the verification goes on; it compares with the source as it was at %s", self.begun.started_at)

    def begin(self, opened: OpenRun, tables: Iterable[TableDefinition]) -> None:
        """From here on it can be gone on with; `tables` are those that it reads."""
        if self.begun is not None:
            return
        for snapshot in opened.snapshots:
            keep(snapshot)
        client = opened.client()
        identities = {table.name: table_identity(describe(client, table.name) or {}) for table in tables}
        begun = Begun(
            started_at=self._started,
            now_s=self._now_s,
            guards=self._guards,
            target=target_digest(self._plan.target, client),
            tables={name: TableState(identity, None) for name, identity in identities.items()},
            snapshots=opened.snapshots,
            set_aside=opened.set_aside,
            segment_rows=opened.segment_rows,
        )
        write_json(self.folder / _BEGUN, to_builtins(begun))

    def remove(self) -> None:
        """With what an end by force left too. `begun.json` goes first: without it nothing is believed."""
        (self.folder / _BEGUN).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_unless_begun(self) -> None:
        if not (self.folder / _BEGUN).exists():
            self.remove()

    def _changes(self, begun: Begun) -> Iterator[str]:
        """What stands against going on, in words."""
        client = create_client(self._plan.target)
        yield from changed(begun.guards, self._guards)
        yield from changed_sources(begun, self._plan)
        if target_digest(self._plan.target, client) != begun.target:
            yield "the target: its endpoint or region"
        else:
            yield from changed_tables(begun.tables, client)
        if not is_whole(self.store):
            yield f"{self.store}, which is damaged"


@contextmanager
def unfinished(plan: Plan, names: Sequence[str], sample: int | None, *, restart: bool) -> Iterator[Unfinished | None]:
    """The plan's verification to go on with, or to begin; None where another one is under way, which has the folder.

    What it keeps goes with its end, and stays where an error or a signal goes through here.
    """
    folder = verification_folder(plan)
    with ExitStack() as held:
        try:
            held.enter_context(plan_lock(folder.parent, folder.name))
        except LockHeldError:
            log.info("another verification of this plan is under way; this one cannot be resumed")
            yield None
            return
        verification = Unfinished(folder, plan, verification_guards(plan, names, sample))
        verification.take_up(restart=restart)
        held.callback(verification.remove_unless_begun)
        yield verification
        verification.remove()


def _load(path: Path) -> Begun | None:
    """None where there is nothing that can be used."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        return Begun(
            **document
            | {
                "tables": {name: TableState(**table) for name, table in document["tables"].items()},
                "snapshots": tuple(Snapshot(**snapshot) for snapshot in document["snapshots"]),
                "set_aside": from_json(document["set_aside"]),
            }
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read (%s): the verification begins afresh", path, error)
        return None
