"""A worker's own copy of a source file in S3, where it shares no folder with the coordinator."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

from migrator.run.worker import WORKER
from migrator.source.failure import source_failure
from migrator.source.remote import REPLACED, fetch, list_files
from migrator.source.snapshot import Snapshot, adopt
from migrator.target.backoff import ask
from migrator.target.session import TargetSettings, create_service_client


def fetch_here(snapshot: Snapshot, target: TargetSettings) -> str:
    """The path of the copy, made as the coordinator made its own. Raises SourceError, TargetError and StoppedError."""
    folder = _folder()
    with closing(create_service_client(target, "s3")) as client:
        (file,) = ask(partial(list_files, client, snapshot.path), f"look for {snapshot.path}", stop=WORKER.is_stopped)
        if file.etag != snapshot.etag:
            raise source_failure(REPLACED, snapshot.path)
        fetched = ask(
            partial(fetch, client, file, folder, WORKER.is_stopped), f"fetch {file.url}", stop=WORKER.is_stopped
        )
    copy = adopt(fetched, snapshot.path, file.etag, folder).read_path
    fetched.unlink()  # its second name stays
    return copy


def _folder() -> Path:
    """Dask removes a worker's folder with the worker, also after a kill."""
    from distributed import get_worker  # of the extra

    folder = Path(get_worker().local_directory) / "sources"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
