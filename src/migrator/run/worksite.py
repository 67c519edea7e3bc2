"""A host of a cluster, as the workers there find it: its versions, its view of the source, its way to the target.

What a task brings along was said on the coordinator's host. The file that it names must be the same one here, byte for
byte; certificates and proxies are this host's own, and so are credentials, which never travel.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from migrator import __version__
from migrator.errors import SourceError, StoppedError
from migrator.run.lease import LEASES, Terms
from migrator.run.segment import Segment
from migrator.run.sinks import WriteOptions
from migrator.run.worker import WORKER
from migrator.source.snapshot import Snapshot
from migrator.source.storage import read_state
from migrator.target.endpoint import endpoint_at
from migrator.target.session import TargetSettings

_BLOCK_BYTES = 1024 * 1024


class Site(Struct, frozen=True):
    """A worker process."""

    host: str
    versions: dict[str, str]


def this_site() -> Site:
    """What decides how rows are read and rendered."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Site(socket.gethostname(), {"migrator": __version__, "Python": python, "SQLite": sqlite3.sqlite_version})


class Task(Struct, frozen=True):
    """A worker's function and what it is given."""

    terms: Terms
    site: Site  #: the coordinator's
    target: TargetSettings
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    contents: Mapping[str, str] = field(default_factory=dict)  #: digests of the files that are read, by their paths


def run_task(packed: bytes) -> Any:
    """A pickled Task, on a worker. Raises StoppedError where this host would do other work, and LeaseLost."""
    try:
        task: Task = pickle.loads(packed)
    except (ImportError, AttributeError) as error:
        raise _differs(f"cannot do a task of the run: {error}") from error
    if words := differences(this_site(), task.site):
        raise _differs(words)
    try:
        return LEASES.of(task.terms).run(lambda: partial(task.function, *_here(task.arguments, task)))
    except RecursionError as error:
        endless = error.with_traceback(None)
    raise endless  # with its traceback Dask could not carry it, and the coordinator would wait for ever


def differences(site: Site, own: Site) -> str:
    """
    >>> differences(Site("a", {"SQLite": "3.40.1"}), Site("b", {"SQLite": "3.46.0"}))
    'has SQLite 3.40.1, and the coordinator 3.46.0'
    """
    found = [
        f"{what} {site.versions.get(what)}, and the coordinator {version}"
        for what, version in own.versions.items()
        if site.versions.get(what) != version
    ]
    return f"has {'; '.join(found)}" if found else ""


def _differs(words: str) -> StoppedError:
    return StoppedError(
        f"the worker on {socket.gethostname()} {words}\n"
        "  Rows would be read or rendered in two ways: give all hosts the same versions and modules; then run again.",
        code="worker_differs",
        retryable=True,
    )


def _here(given: Any, task: Task) -> Any:
    """What a function is given, as it is to be understood on this host."""
    if isinstance(given, Segment) and given.unit.snapshot is not None:
        local = _FILES.local(given.unit.snapshot, task.contents[given.unit.snapshot.read_path], task.target)
        return replace(given, unit=replace(given.unit, snapshot=local))
    if isinstance(given, WriteOptions) and given.endpoint is not None:
        found = given.endpoint
        return replace(given, endpoint=_endpoint_at(found.url, found.region, given.target))
    if type(given) in (list, tuple):
        return type(given)(_here(each, task) for each in given)
    return given


def iter_snapshots(given: Any) -> Iterator[Snapshot]:
    """Those of the segments that a function is given."""
    if isinstance(given, Segment) and given.unit.snapshot is not None:
        yield given.unit.snapshot
    elif type(given) in (list, tuple):
        for each in given:
            yield from iter_snapshots(each)


_endpoint_at = lru_cache(maxsize=8)(endpoint_at)


def content_of(path: str, is_stopped: Callable[[], bool]) -> str | None:
    """A digest of the file's bytes: hosts that share a folder may see other times and numbers of its files.

    None where whoever asks was stopped meanwhile.
    """
    digest = hashlib.blake2b(digest_size=32)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            if is_stopped():
                return None
    return digest.hexdigest()


class _Files:
    """Files of this host that were found to be the coordinator's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[Snapshot, str], Snapshot] = {}

    def local(self, snapshot: Snapshot, content: str, target: TargetSettings) -> Snapshot:
        """The snapshot as this host sees it: from here on, its state here must not change. Raises SourceError."""
        with self._lock:
            if found := self._known.get((snapshot, content)):
                return found
            local, is_known = self._looked_at(snapshot, content, target)
            if is_known:
                self._known[snapshot, content] = local
            return local

    def _looked_at(self, snapshot: Snapshot, content: str, target: TargetSettings) -> tuple[Snapshot, bool]:
        """With whether it was looked at to its end; who is stopped meanwhile reads no row of it."""
        path = _path_here(snapshot, target)
        try:
            state = read_state(path).fingerprint()
            found = content_of(path, WORKER.is_stopped)
        except OSError as error:
            raise SourceError(
                f"{path}: the worker on {socket.gethostname()} cannot read it: {error.strerror}\n"
                "  Workers read the source in the coordinator's state folder, or where it lies if it is read-only.\n"
                "  Share that folder with them, under the same path and for the same user, or put the source into S3;"
                " and run again to go on.",
                code="source_not_on_worker",
                retryable=True,
            ) from error
        if found not in (content, None):
            raise SourceError(
                f"{path}: the worker on {socket.gethostname()} has another file there than the coordinator\n"
                "  Share the coordinator's folder under that path, and run again to go on.",
                code="source_not_on_worker",
                retryable=True,
            )
        state_of = "read_fingerprint" if snapshot.is_copy else "fingerprint"
        return replace(snapshot, read_path=path, **{state_of: state}), found == content


def _path_here(snapshot: Snapshot, target: TargetSettings) -> str:
    """Where this host has the file: where the coordinator has it, in a folder that they share, or out of S3."""
    if snapshot.etag and not os.path.exists(snapshot.read_path):
        from migrator.run.fetching import fetch_here  # for who needs it

        return fetch_here(snapshot, target)
    return snapshot.read_path


_FILES = _Files()
