"""Source files in S3: listed by their names, and fetched whole or not at all.

The client is handed in, and with it credentials and retrying: what is said of a bucket or of an object is a SourceError
here, and what is wrong on the way (throttling, no answer) goes to who made the client.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import ClientError
from msgspec import Struct

from migrator.errors import StoppedError
from migrator.source.failure import Failure, source_failure
from migrator.source.paths import COMPANIONS, bucket_and_key, is_glob, key_matcher, literal_prefix
from migrator.source.private_copy import NO_ROOM
from migrator.source.storage import BLOCK_BYTES
from migrator.wholefile import whole_file

#: A file of which nothing has come for so long is not being fetched.
_FETCHED_IN_S = 24 * 3600
#: Of an object put in one request and not encrypted by a key of KMS: elsewhere an ETag says nothing of the bytes.
_MD5 = re.compile(r"[0-9a-f]{32}")
#: Companions that hold what the file itself does not: committed rows, or what an unfinished transaction overwrote.
_HOLDING_ROWS = tuple(ending for ending in COMPANIONS if ending != "-shm")

NO_OBJECT = Failure("source_missing", "there is no such object", "check bucket and key; upper and lower case differ")
NO_MATCH = Failure("source_missing", "no object's key fits", "check the prefix; * stays between two /, **/ does not")
NO_BUCKET = Failure(
    "source_bucket_missing", "there is no such bucket", "check its name, and AWS_ENDPOINT_URL_S3 if set"
)
DENIED = Failure(
    "source_denied",
    "S3 denies access",
    "allow this identity s3:ListBucket on the bucket and s3:GetObject on its objects",
)
REPLACED = Failure(
    "source_changed", "the object was replaced since it was listed", "run the same command again", retryable=True
)
INCOMPLETE = Failure("source_incomplete", "what came is not the object", "run the same command again", retryable=True)
WAL_BESIDE = Failure(
    "source_wal",
    "an object beside it holds a part of its rows",
    "copy with sqlite3 FILE .backup COPY (or VACUUM INTO), which gives one whole file, and upload that alone",
)

#: S3's error codes; a HEAD has none, and a GET of what is hidden says AccessDenied.
_FAILURES: Mapping[str, Failure] = {
    "NoSuchBucket": NO_BUCKET,
    "NoSuchKey": NO_OBJECT,
    "404": NO_OBJECT,
    "AccessDenied": DENIED,
    "AllAccessDisabled": DENIED,
    "403": DENIED,
    "PreconditionFailed": REPLACED,
    "412": REPLACED,
}


class RemoteFile(Struct, frozen=True):
    bucket: str
    key: str
    etag: str  #: changes with the object
    size: int  #: bytes
    beside: str = ""  #: the key of a companion that holds a part of the rows

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """That of the fetched file: another for each object, and for each state of it."""
        return hashlib.sha256(f"{self.url}\0{self.etag}".encode()).hexdigest()[:32] + ".sqlite"


def list_files(client: Any, url: str) -> list[RemoteFile]:
    """What is there under the key, or the keys that a glob finds, in their order.

    Raises SourceError where nothing is, or nobody may look.
    """
    bucket, key = bucket_and_key(url)
    with _errors(url):
        found = {
            each["Key"]: (each["Size"], each["ETag"]) for each in _iter_listed(client, bucket, literal_prefix(key))
        }
    if key in found or not is_glob(key):
        names = [key] if key in found else []
    else:
        fits = key_matcher(key).fullmatch
        names = sorted(name for name in found if fits(name) and not name.endswith((*COMPANIONS, "/")))
    if not names:
        raise source_failure(NO_MATCH if is_glob(key) else NO_OBJECT, url)
    return [_remote_file(bucket, name, found) for name in names]


def _iter_listed(client: Any, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def _remote_file(bucket: str, key: str, found: Mapping[str, tuple[int, str]]) -> RemoteFile:
    """`found` are sizes and ETags by key."""
    companions = (key + ending for ending in _HOLDING_ROWS)
    beside = next((name for name in companions if name in found and found[name][0]), "")
    size, etag = found[key]
    return RemoteFile(bucket, key, etag.strip('"'), size, beside)


def never() -> bool:
    return False


def fetch(client: Any, file: RemoteFile, folder: Path, stop: Callable[[], bool] = never) -> Path:
    """The file in the folder, whole, under a name of its own; nothing is asked where it lies there already.

    Several may fetch it side by side. Raises SourceError, and StoppedError when `stop` says so.
    """
    if file.beside:
        raise source_failure(WAL_BESIDE, file.url, file.beside)
    path = folder / file.name
    if path.exists() and path.stat().st_size == file.size:
        return path
    with _errors(file.url):
        answer = client.get_object(Bucket=file.bucket, Key=file.key, IfMatch=f'"{file.etag}"')
    with closing(answer["Body"]) as body, _new_file(path, file.url) as part:
        _check(file, answer, *_copy(body, part, stop))
    return path


@contextmanager
def _new_file(path: Path, url: str) -> Iterator[BinaryIO]:
    """A whole file; what the disk has against it is a SourceError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(path) as part:  # on disk at once: its size is all that is asked of it the next time
            yield part
    except OSError as error:
        if error.strerror is None:  # some of botocore's are OSErrors too, and say nothing of the disk
            raise
        raise source_failure(NO_ROOM, url, f"{error.strerror}, {path.parent}") from error


def _copy(body: Any, part: BinaryIO, stop: Callable[[], bool]) -> tuple[int, str]:
    """How many bytes came, and their MD5."""
    size, seen = 0, hashlib.md5(usedforsecurity=False)
    for block in body.iter_chunks(BLOCK_BYTES):
        if stop():
            raise StoppedError("stopped while the source was fetched", code="interrupted", retryable=True)
        part.write(block)
        seen.update(block)
        size += len(block)
    return size, seen.hexdigest()


def _check(file: RemoteFile, answer: Mapping[str, Any], size: int, md5: str) -> None:
    if size != file.size:
        raise source_failure(INCOMPLETE, file.url, f"{size} of {file.size} bytes")
    encrypted = "kms" in answer.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in answer
    if _MD5.fullmatch(file.etag) and not encrypted and md5 != file.etag:
        raise source_failure(INCOMPLETE, file.url, f"its MD5 is {md5}, its ETag {file.etag}")


@contextmanager
def _errors(url: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        failure = _FAILURES.get(str(told.get("Code")))
        if failure is None:
            raise
        raise source_failure(failure, url, str(told.get("Message") or "")) from error


def prune(folder: Path, kept: Iterable[RemoteFile]) -> None:
    """Remove all fetched files but these, and what a kill left half fetched.

    Who reads one has a name of its own for it.
    """
    names = {file.name for file in kept}
    begun_before = time.time() - _FETCHED_IN_S
    for path in folder.glob("*.sqlite"):
        if path.name not in names:
            path.unlink(missing_ok=True)
    for path in folder.glob(".*.part"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < begun_before:
                path.unlink()
