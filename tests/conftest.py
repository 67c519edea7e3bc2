"""Fixtures for every room: DynamoDB engines, the strict door in front of them, and no way out to the real service."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

import engines
from door import Door
from migrator.cli.logs import StandardErrorHandler

# An engine of the user's own is asked in the user's region, as everything else in this one.
REGION = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
DUMMY_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": (os.environ.get("DYNAMODB_ENDPOINT") and REGION) or "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def pytest_configure() -> None:
    """Who starts the tests in the background has them ignore Ctrl-C, and so every command that they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_log_of_commands() -> None:
    """A command that ran in this process has left its log set up; the next test is none."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, StandardErrorHandler)]:
        root.removeHandler(handler)
    logging.captureWarnings(capture=False)


@pytest.fixture(autouse=True)
def no_real_aws(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test meets the developer's AWS settings, nor their running `migrator local`."""
    hide_real_aws(monkeypatch, tmp_path_factory.mktemp("runtime"))


def hide_real_aws(patch: pytest.MonkeyPatch, runtime: Path) -> None:
    """Do it by hand for a fixture of a wider scope: it is set up before `no_real_aws`."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in DUMMY_ENVIRONMENT.items():
        patch.setenv(name, value)
    patch.setenv("XDG_RUNTIME_DIR", str(runtime))


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the embedded DynamoDB of `--local`."""
    from migrator.target.embedded import embedded

    runtime = tmp_path_factory.mktemp("moto-runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        context = embedded(tmp_path_factory.mktemp("moto"))
        url = context.__enter__()
    try:
        yield url
    finally:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """Give moto with all it has: S3, imports from it, and logs."""
    from moto.server import ThreadedMotoServer
    from py_partiql_parser import JsonParser

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        # Its imports read JSON by a parser that knows no escapes and loses what has any.
        patch.setattr(JsonParser, "parse", staticmethod(lambda original: map(json.loads, original.split("\n")[:-1])))
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture(scope="session")
def dynalite_url() -> Iterator[str]:
    """Give dynalite's URL; skip where it is not installed, but never in CI."""
    try:
        with engines.dynalite() as url:
            yield url
    except engines.EngineMissing as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


# Of the module, so that all its tests of one engine run together and may share a table there.
@pytest.fixture(scope="module", params=engines.engine_names())
def engine(request: pytest.FixtureRequest) -> str:
    """Give the URL of each engine in turn."""
    if request.param == "endpoint":
        return os.environ["DYNAMODB_ENDPOINT"]
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def endpoint_credentials() -> Any:
    """Give the credentials for DYNAMODB_ENDPOINT, taken before `no_real_aws` hides them."""
    return boto3.Session().get_credentials() if os.environ.get("DYNAMODB_ENDPOINT") else None


@pytest.fixture
def door(endpoint_credentials: Any, engine: str) -> Iterator[Door]:
    """Give a strict door of the test's own in front of the engine."""
    with Door(engine, endpoint_credentials) as door:
        yield door


@pytest.fixture
def dynamodb(door: Door) -> Iterator[Any]:
    """Give a client through the door; tables that the test makes are deleted behind its back."""
    with clearing_client(door) as client:
        yield client


@contextmanager
def clearing_client(door: Door) -> Iterator[Any]:
    """Give a client through the door; at the end the tables are deleted that were made since the beginning."""
    client = new_client(door.url)
    before = set(_tables(client))
    try:
        yield client
    finally:
        door.faults.clear()
        for name in set(_tables(client)) - before:
            await_table(client, name)  # a table that is being made cannot be deleted
            client.delete_table(TableName=name)
            await_table(client, name, "table_not_exists")
        client.close()


def new_client(url: str) -> Any:
    # No parameter validation and no retries: what a test sends arrives, once.
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, proxies={})
    return boto3.client("dynamodb", endpoint_url=url, config=config)


def await_table(client: Any, name: str, state: str = "table_exists") -> None:
    """Wait as an SDK waits, but ask more often than every 20 seconds."""
    client.get_waiter(state).wait(TableName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 1200})


def _tables(client: Any) -> list[str]:
    return [name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]]
