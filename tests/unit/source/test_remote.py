"""Source files in S3: what a URL finds, and that what is fetched is the object, whole."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from migrator.errors import SourceError, StoppedError
from migrator.source.connection import connect
from migrator.source.remote import RemoteFile, fetch, list_files, prune
from migrator.source.snapshot import adopt, check_unchanged, is_still_there, release


@pytest.fixture
def s3(aws_url: str) -> Iterator[Any]:
    with closing(boto3.client("s3", endpoint_url=aws_url)) as client:
        yield client


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"sources-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    return name


Put = Callable[..., None]


@pytest.fixture
def put(s3: Any, bucket: str) -> Put:
    """Objects of this content, by their keys."""

    def put(*keys: str, body: bytes = b"content") -> None:
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    return put


def a_database(path: Path, journal: str = "DELETE") -> bytes:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    return path.read_bytes()


# ---- listing


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("tenants/a.sqlite", ["tenants/a.sqlite"]),
        ("tenants/*.sqlite", ["tenants/a.sqlite", "tenants/b.sqlite"]),
        ("tenants/?.sqlite", ["tenants/a.sqlite", "tenants/b.sqlite"]),
        ("tenants/[!b].sqlite", ["tenants/a.sqlite"]),
        ("tenants/**/*.sqlite", ["tenants/a.sqlite", "tenants/b.sqlite", "tenants/deep/c.sqlite"]),
        ("*/deep/*", ["tenants/deep/c.sqlite"]),
        ("tenants/**", ["tenants/a.sqlite", "tenants/b.sqlite", "tenants/b.txt", "tenants/deep/c.sqlite"]),
        ("odd[1].sqlite", ["odd[1].sqlite"]),
    ],
)
def test_a_url_finds_what_a_path_would(s3: Any, bucket: str, put: Put, url: str, found: list[str]) -> None:
    put("tenants/a.sqlite", "tenants/b.sqlite", "tenants/b.txt", "tenants/deep/c.sqlite", "odd[1].sqlite", "tenants/")
    assert [file.key for file in list_files(s3, f"s3://{bucket}/{url}")] == found


def test_companions_are_no_sources_of_their_own(s3: Any, bucket: str, put: Put) -> None:
    put("a.sqlite", "a.sqlite-wal", "a.sqlite-shm", "b.sqlite-journal")
    assert [file.key for file in list_files(s3, f"s3://{bucket}/*")] == ["a.sqlite"]


def test_a_file_says_how_large_it_is_and_in_which_state(s3: Any, bucket: str, put: Put) -> None:
    put("a.sqlite", body=b"12345")
    (file,) = list_files(s3, f"s3://{bucket}/a.sqlite")
    assert (file.url, file.size, file.etag) == (f"s3://{bucket}/a.sqlite", 5, "827ccb0eea8a706c4c34a16891f84e7b")


@pytest.mark.parametrize(("url", "says"), [("none.sqlite", "no such object"), ("none/*", "no object's key fits")])
def test_what_is_not_there_is_an_error(s3: Any, bucket: str, url: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        list_files(s3, f"s3://{bucket}/{url}")
    assert caught.value.code == "source_missing"


def test_a_bucket_that_is_not_there_is_an_error(s3: Any) -> None:
    with pytest.raises(SourceError, match="no such bucket") as caught:
        list_files(s3, f"s3://none-{uuid.uuid4().hex}/a")
    assert caught.value.code == "source_bucket_missing"


def test_who_may_not_look_is_told_which_rights_it_takes(s3: Any) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error("list_objects_v2", "AccessDenied", "not you")
        with pytest.raises(SourceError, match=r"not you\n  allow this identity s3:ListBucket") as caught:
            list_files(s3, "s3://bucket/a")
    assert caught.value.code == "source_denied"


def test_what_is_wrong_on_the_way_is_left_to_who_made_the_client(s3: Any) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error("list_objects_v2", "SlowDown")
        with pytest.raises(ClientError, match="SlowDown"):
            list_files(s3, "s3://bucket/a")


# ---- fetching


def listed(s3: Any, bucket: str, key: str) -> RemoteFile:
    (file,) = list_files(s3, f"s3://{bucket}/{key}")
    return file


def test_a_fetched_file_is_the_object(s3: Any, bucket: str, put: Put, tmp_path: Path) -> None:
    put("a.sqlite", body=bytes(range(256)) * 40_000)
    path = fetch(s3, listed(s3, bucket, "a.sqlite"), tmp_path / "cache")
    assert path.read_bytes() == bytes(range(256)) * 40_000
    assert list(path.parent.iterdir()) == [path]


def test_what_is_there_is_not_fetched_again(s3: Any, bucket: str, put: Put, tmp_path: Path) -> None:
    put("a.sqlite")
    file = listed(s3, bucket, "a.sqlite")
    path = fetch(s3, file, tmp_path)
    with Stubber(s3):  # which expects no request
        assert fetch(s3, file, tmp_path) == path


def test_another_state_of_an_object_is_another_file(s3: Any, bucket: str, put: Put, tmp_path: Path) -> None:
    put("a.sqlite", body=b"before")
    before = fetch(s3, listed(s3, bucket, "a.sqlite"), tmp_path)
    put("a.sqlite", body=b"after!")
    after = fetch(s3, listed(s3, bucket, "a.sqlite"), tmp_path)
    assert (before.read_bytes(), after.read_bytes()) == (b"before", b"after!")


def test_an_object_that_is_replaced_meanwhile_is_not_fetched(s3: Any, bucket: str, put: Put, tmp_path: Path) -> None:
    put("a.sqlite", body=b"before")
    file = listed(s3, bucket, "a.sqlite")
    put("a.sqlite", body=b"after!")
    with pytest.raises(SourceError, match="was replaced since it was listed") as caught:
        fetch(s3, file, tmp_path)
    assert caught.value.retryable
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_gone_meanwhile_is_named(s3: Any, bucket: str, put: Put, tmp_path: Path) -> None:
    put("a.sqlite")
    file = listed(s3, bucket, "a.sqlite")
    s3.delete_object(Bucket=bucket, Key="a.sqlite")
    with pytest.raises(SourceError, match=f"s3://{bucket}/a.sqlite: there is no such object"):
        fetch(s3, file, tmp_path)


class Body:
    def __init__(self, *blocks: bytes) -> None:
        self._blocks = blocks

    def iter_chunks(self, _size: int) -> Iterator[bytes]:
        yield from self._blocks

    def close(self) -> None:
        pass


class Client:
    """Answers every GET with this."""

    def __init__(self, *blocks: bytes, **more: Any) -> None:
        self._answer = {"Body": Body(*blocks), **more}

    def get_object(self, **_: Any) -> dict[str, Any]:
        return self._answer


#: Of the five bytes 12345
MD5 = "827ccb0eea8a706c4c34a16891f84e7b"


@pytest.mark.parametrize(
    ("file", "body", "says"),
    [
        (RemoteFile("b", "k", MD5, 6), b"12345", "5 of 6 bytes"),
        (RemoteFile("b", "k", MD5, 5), b"12346", f"its ETag {MD5}"),
    ],
)
def test_what_came_is_held_against_the_object(file: RemoteFile, body: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        fetch(Client(body), file, tmp_path)
    assert caught.value.code == "source_incomplete"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("etag", "more"),
    [
        (f"{MD5}-2", {}),
        (MD5, {"ServerSideEncryption": "aws:kms"}),
        (MD5, {"SSECustomerAlgorithm": "AES256"}),
    ],
    ids=["in parts", "kms", "own key"],
)
def test_an_etag_that_is_no_md5_is_not_compared(etag: str, more: dict[str, Any], tmp_path: Path) -> None:
    path = fetch(Client(b"other", **more), RemoteFile("b", "k", etag, 5), tmp_path)
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_file_with_rows_beside_it_is_refused(s3: Any, bucket: str, put: Put, tmp_path: Path, ending: str) -> None:
    put("a.sqlite", f"a.sqlite{ending}")
    with pytest.raises(SourceError, match=f"holds a part of its rows: a.sqlite{ending}\n") as caught:
        fetch(s3, listed(s3, bucket, "a.sqlite"), tmp_path)
    assert caught.value.code == "source_wal"


def test_an_empty_companion_is_nothing(s3: Any, bucket: str, put: Put, tmp_path: Path) -> None:
    put("a.sqlite")
    put("a.sqlite-wal", body=b"")
    assert fetch(s3, listed(s3, bucket, "a.sqlite"), tmp_path).read_bytes() == b"content"


def test_a_stop_ends_a_fetch_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        fetch(Client(b"1", b"2"), RemoteFile("b", "k", "e", 2), tmp_path, stop=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SourceError, match=f"{tmp_path}/cache") as caught:
        fetch(Client(b"1"), RemoteFile("b", "k", "e", 1), tmp_path / "cache")
    assert caught.value.code == "source_copy_failed"


def test_pruning_leaves_what_is_wanted_and_what_is_coming(tmp_path: Path) -> None:
    kept, gone = RemoteFile("b", "kept", "e", 4), RemoteFile("b", "gone", "e", 4)
    for file in (kept, gone):
        fetch(Client(b"data"), file, tmp_path)
    (tmp_path / ".coming.part").touch()
    (tmp_path / ".left.part").touch()
    os.utime(tmp_path / ".left.part", (0, time.time() - 48 * 3600))
    prune(tmp_path, [kept])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".coming.part", kept.name]


# ---- as a snapshot


def test_a_fetched_file_is_the_private_copy_itself(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched.sqlite"
    a_database(fetched)
    snapshot = adopt(fetched, "s3://b/k", "etag", tmp_path / "scratch")
    assert (snapshot.path, snapshot.etag, snapshot.fingerprint) == ("s3://b/k", "etag", "etag")
    assert os.path.samefile(snapshot.read_path, fetched)


def test_it_stays_when_the_fetched_file_goes(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched.sqlite"
    a_database(fetched)
    snapshot = adopt(fetched, "s3://b/k", "etag", tmp_path / "scratch")
    fetched.unlink()
    assert is_still_there(snapshot)
    with connect(snapshot) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 2


def test_a_file_that_says_wal_is_read_and_the_fetched_one_stays_as_it_came(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched.sqlite"
    content = a_database(fetched, "WAL")
    snapshot = adopt(fetched, "s3://b/k", "etag", tmp_path / "scratch")
    with connect(snapshot) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 2
    check_unchanged(snapshot)
    assert fetched.read_bytes() == content
    release(snapshot)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "source_empty"), (b"no database" * 100, "source_not_sqlite")], ids=["empty", "other"]
)
def test_what_is_no_database_is_told_by_its_url(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "fetched.sqlite").write_bytes(content)
    with pytest.raises(SourceError, match=r"^s3://b/k: ") as caught:
        adopt(tmp_path / "fetched.sqlite", "s3://b/k", "etag", tmp_path / "scratch")
    assert caught.value.code == code
