"""A host of a cluster: the file that a task names must be the same one there, and its way to the target is its own."""

from __future__ import annotations

import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread

import boto3
import pytest
from msgspec.structs import replace

from migrator.errors import SourceError, StoppedError
from migrator.run import fetching, worksite
from migrator.run.lease import Terms
from migrator.run.segment import Segment, Unit
from migrator.run.sinks import WriteOptions
from migrator.run.worker import Worker
from migrator.run.worksite import Task, content_of, iter_snapshots, run_task, this_site
from migrator.source.connection import connect
from migrator.source.remote import fetch, list_files
from migrator.source.snapshot import adopt, check_unchanged, release, take_snapshot
from migrator.target.backoff import RetryPolicy, never
from migrator.target.endpoint import Endpoint
from migrator.target.session import TargetSettings

HERE = TargetSettings()


@pytest.fixture
def snapshot(tmp_path):
    """The coordinator's: a private copy."""
    source = tmp_path / "shop.sqlite"
    with sqlite3.connect(source) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    connection.close()
    taken = take_snapshot(source, tmp_path / "state", outlives_writers=True)
    yield taken
    release(taken)


@pytest.fixture
def files():
    return worksite._Files()


def test_a_file_that_another_host_sees_otherwise_is_the_same_by_its_content(snapshot, files):
    content = content_of(snapshot.read_path, never)
    os.utime(snapshot.read_path, (1, 1))
    with pytest.raises(SourceError):
        check_unchanged(snapshot)
    check_unchanged(files.local(snapshot, content, HERE))


def test_a_file_is_looked_at_once(snapshot, files, monkeypatch):
    content = content_of(snapshot.read_path, never)
    local = files.local(snapshot, content, HERE)
    monkeypatch.setattr(worksite, "content_of", lambda *given: pytest.fail("it was looked at again"))
    assert files.local(snapshot, content, HERE) is local


def test_a_file_that_changes_later_is_found_changed(snapshot, files):
    local = files.local(snapshot, content_of(snapshot.read_path, never), HERE)
    os.utime(snapshot.read_path, (1, 1))
    with pytest.raises(SourceError):
        check_unchanged(local)


def test_another_file_is_refused_with_host_and_path(snapshot, files):
    with pytest.raises(SourceError, match="another file") as refused:
        files.local(snapshot, "the digest of another", HERE)
    assert this_site().host in str(refused.value)
    assert snapshot.read_path in str(refused.value)
    assert refused.value.retryable


def test_a_file_that_is_not_there_is_refused_with_host_and_path(snapshot, files):
    gone = replace(snapshot, read_path=snapshot.read_path + ".gone")
    with pytest.raises(SourceError, match=r"\.gone: the worker on .* cannot read it: No such file"):
        files.local(gone, "any", HERE)


def test_who_is_stopped_looks_at_no_file_to_its_end(snapshot):
    assert content_of(snapshot.read_path, lambda: True) is None


def given(*arguments):
    return arguments


def do(function, *arguments, site=None, contents=()):
    terms = Terms(f"command of {function}", None, {}, 10.0)
    return run_task(pickle.dumps(Task(terms, site or this_site(), HERE, function, arguments, dict(contents))))


def test_a_segment_reads_the_file_as_this_host_sees_it(snapshot):
    content = content_of(snapshot.read_path, never)
    os.utime(snapshot.read_path, (1, 1))
    unit = Unit(0, "Order", 0, None, None, snapshot=snapshot)
    ((found, number),) = do(given, (Segment(0, unit), 7), contents={snapshot.read_path: content})
    assert number == 7
    check_unchanged(found.unit.snapshot)


def test_every_segment_of_a_bundle_has_a_file_of_its_own(snapshot):
    other = replace(snapshot, path=snapshot.path + "2")
    units = [Unit(n, "Order", 0, None, None, snapshot=each) for n, each in enumerate((snapshot, other))]
    tasks = [(Segment(n, unit), n) for n, unit in enumerate(units)]
    assert list(iter_snapshots(([*tasks],))) == [snapshot, other]
    (found,) = do(given, tasks, contents={snapshot.read_path: content_of(snapshot.read_path, never)})
    assert [(segment.unit.snapshot.path, number) for segment, number in found] == [(snapshot.path, 0), (other.path, 1)]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_source_in_s3_is_fetched_where_no_folder_is_shared(snapshot, files, tmp_path, aws_url, monkeypatch, journal):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(fetching, "_folder", lambda: tmp_path / "worker")
    (tmp_path / "worker").mkdir()
    source = tmp_path / "remote.sqlite"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.commit()
    s3, bucket = boto3.client("s3", region_name="us-east-1"), f"worksite-{journal}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="shop.sqlite", Body=source.read_bytes())
    (remote,) = list_files(s3, f"s3://{bucket}/shop.sqlite")
    theirs = adopt(fetch(s3, remote, tmp_path / "fetched"), remote.url, remote.etag, tmp_path / "coordinator")
    content = content_of(theirs.read_path, never)
    elsewhere = replace(theirs, read_path=theirs.read_path + ".of another host")
    local = files.local(elsewhere, content, TargetSettings(region="us-east-1"))
    assert Path(local.read_path).is_relative_to(tmp_path / "worker")
    with connect(local) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM orders").scalar_one() == 0
    check_unchanged(local)
    s3.put_object(Bucket=bucket, Key="shop.sqlite", Body=b"another")
    with pytest.raises(SourceError, match="was replaced"):
        worksite._Files().local(elsewhere, content, TargetSettings(region="us-east-1"))


def test_certificates_and_proxy_are_those_of_this_host(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "here.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.here:1")
    endpoint = Endpoint("https://dynamodb.example", "eu-central-1", "/there.pem", "http://proxy.there:1")
    options = WriteOptions(TargetSettings(region="eu-central-1"), endpoint, "replace", 25, RetryPolicy())
    (found,) = do(given, options)
    assert (found.endpoint.url, found.endpoint.region) == (endpoint.url, endpoint.region)
    assert (found.endpoint.ca_file, found.endpoint.proxy) == (str(tmp_path / "here.pem"), "http://proxy.here:1")


def test_a_worker_that_came_later_with_other_versions_does_nothing():
    other = replace(this_site(), versions=this_site().versions | {"SQLite": "3.0"})
    with pytest.raises(StoppedError, match=r"and the coordinator 3\.0"):
        do(given, site=other)


def endless(depth):
    return endless(depth + 1)


def test_a_filter_without_an_end_brings_its_error_and_not_its_traceback():
    with pytest.raises(RecursionError) as raised:
        do(endless, 0)
    assert len(raised.traceback) < 10


def test_a_task_of_a_module_that_is_not_here_says_so():
    packed = pickle.dumps(given).replace(given.__module__.encode(), b"x" * len(given.__module__))
    with pytest.raises(StoppedError, match="cannot do a task of the run: No module named"):
        run_task(packed)


def test_each_thread_is_a_worker_of_its_own():
    worker = Worker()
    worker.start(lambda: True, {})
    seen = []
    thread = Thread(target=lambda: seen.append(worker.is_stopped()))
    thread.start()
    thread.join()
    assert (seen, worker.is_stopped()) == ([False], True)
