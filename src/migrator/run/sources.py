"""A plan's source files: found, fetched where they are in S3, and one consistent view taken of each.

Files are taken one after the other, so that of thousands no more than a few are in hand. What is fetched stays in the
state folder, so that the next command fetches only what has changed; a run has names of its own for what it reads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from migrator.errors import SourceError, UsageError
from migrator.run.history import fetched_folder
from migrator.run.plan import Plan
from migrator.source.connection import connect
from migrator.source.integrity import check_integrity
from migrator.source.paths import is_remote
from migrator.source.snapshot import Snapshot, adopt, release, take_snapshot
from migrator.target.backoff import ask, never
from migrator.target.session import create_service_client

if TYPE_CHECKING:
    from migrator.source.remote import RemoteFile

#: Objects that are fetched side by side.
_FETCHES = 8
#: What says that this machine cannot go on, whichever file it is about.
_OF_THE_MACHINE = frozenset({"source_copy_failed", "source_temp_full"})

log = logging.getLogger(__name__)

Stop = Callable[[], bool]


class SourceFile(Struct, frozen=True):
    """A file that the plan names; what stands against it already, if anything does."""

    path: str  #: absolute, or an s3:// URL
    remote: RemoteFile | None = None
    error: SourceError | None = None


def find_sources(plan: Plan, stop: Stop = never) -> list[SourceFile]:
    """The plan's files in their order, those in S3 by asking it. Raises SourceError, TargetError and UsageError."""
    found: dict[str, SourceFile] = {}
    with _bucket_client(plan) as client:
        for source in plan.sources:
            for file in _listed(client(), source, stop) if is_remote(source) else [SourceFile(source)]:
                found.setdefault(file.path, file)
    return list(found.values())


@contextmanager
def _bucket_client(plan: Plan) -> Iterator[Callable[[], Any]]:
    """What gives a client of S3, made when it is asked for and closed with this."""
    made: list[Any] = []

    def client() -> Any:
        if plan.target.local:
            raise UsageError(
                "--local never leaves this machine, and source: names s3://\n"
                "  Copy the files here and name the copies, or run without --local."
            )
        if not made:
            made.append(create_service_client(plan.target, "s3"))
        return made[0]

    try:
        yield client
    finally:
        for each in made:
            each.close()


def _listed(client: Any, url: str, stop: Stop) -> list[SourceFile]:
    from migrator.source.remote import list_files  # with its part of botocore, for who needs it

    try:
        listed = ask(partial(list_files, client, url), f"look into {url}", stop=stop)
        return [SourceFile(file.url, file) for file in listed]
    except SourceError as error:
        if error.code != "source_missing":
            raise
        return [SourceFile(url, error=error)]


class Taking(Struct, frozen=True):
    """How files are taken."""

    scratch: Path  #: where private copies go
    integrity: bool = False  #: each passes SQLite's integrity check
    reads_rows: bool = True  #: its writers neither wait nor are seen
    stop: Stop = never


def iter_taken(
    plan: Plan, files: Sequence[SourceFile], taking: Taking
) -> Generator[tuple[SourceFile, Snapshot | SourceError]]:
    """A view of each file, or what stands against it. Raises StoppedError for what stands against all of them."""
    with _fetching(plan, [file.remote for file in files if file.remote], taking.stop) as coming:
        for file in files:
            try:
                snapshot = _take(file, coming, taking)
                if taking.integrity:
                    _check_integrity(snapshot)
            except SourceError as error:
                if error.code in _OF_THE_MACHINE:
                    raise
                yield file, error
            else:
                yield file, snapshot


def _take(file: SourceFile, coming: Mapping[RemoteFile, Future[Path]], taking: Taking) -> Snapshot:
    if file.error:
        raise file.error
    if file.remote:
        return adopt(coming[file.remote].result(), file.path, file.remote.etag, taking.scratch)
    return take_snapshot(file.path, taking.scratch, outlives_writers=taking.reads_rows)


def _check_integrity(snapshot: Snapshot) -> None:
    try:
        with connect(snapshot) as connection:
            for finding in check_integrity(connection):
                log.warning("%s: %s: %s", snapshot.path, finding.subject, finding.message)
    except SourceError:
        release(snapshot)
        raise


@contextmanager
def _fetching(plan: Plan, files: Sequence[RemoteFile], stop: Stop) -> Iterator[Mapping[RemoteFile, Future[Path]]]:
    """The files as they come, some side by side; what is not wanted any more when this ends is not fetched."""
    if not files:
        yield {}
        return
    from migrator.source.remote import fetch, prune

    folder = fetched_folder(plan)
    with _bucket_client(plan) as open_client, ThreadPoolExecutor(_FETCHES) as threads:
        client = open_client()

        def fetched(file: RemoteFile) -> Path:
            path: Path = ask(partial(fetch, client, file, folder, stop), f"fetch {file.url}", stop=stop)
            return path

        try:
            yield {file: threads.submit(fetched, file) for file in files}
        finally:
            threads.shutdown(cancel_futures=True)
    prune(folder, files)
