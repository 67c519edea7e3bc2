"""Fault 46: whatever goes wrong, and however much is logged, no secret of the environment is written anywhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from command import Outcome
from door import Fault, Reply
from door_faults import DENIED, EXPIRED, deny, server_error
from migration import Migration, Nowhere, Waiting, waiting, without_engine
from oracle_rows import Entity

KEY_ID = "AKIDSECRETKEYIDSECRET"
SECRET_KEY = "wJalrXUtnFEMIsecretKEYsecretKEYsecretKEY"
TOKEN = "IQoJb3JpZ2luSECRETtokenSECRETtokenSECRETtoken"
PASSWORD = "proxyPASSWORDproxyPASSWORD"
SECRETS = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_SESSION_TOKEN": TOKEN,
    "APPLICATION_PASSWORD": PASSWORD,
}
PROXY = Nowhere.url.replace("://", f"://someone:{PASSWORD}@")
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/migrator"}
#: Environment, target and log format of runs that nobody answers: each waits its 30 seconds, all of them at once.
UNANSWERED: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "text": ({}, {}, "text"),
    "proxy, text": (
        {"HTTP_PROXY": PROXY, "NO_PROXY": "", "AWS_ENDPOINT_URL_DYNAMODB": "http://example.org"},
        {},
        "text",
    ),
    "proxy, json": (
        {"HTTP_PROXY": PROXY, "NO_PROXY": "", "AWS_ENDPOINT_URL_DYNAMODB": "http://example.org"},
        {},
        "json",
    ),
    "role, json": ({"AWS_ENDPOINT_URL_STS": Nowhere.url}, ROLE, "json"),
}
ROW = Entity("Row", "rows", "id")
#: Settings of who does not wait long.
PATIENCE = {"give_up_after": "1s", "max_attempts": 2, "connect_timeout": "1s", "read_timeout": "5s"}
Cause = Callable[[Migration], Migration]


def with_environment(migration: Migration, **more: str) -> Migration:
    command = migration.migrator
    return replace(migration, migrator=replace(command, environment={**command.environment, **more}))


def with_fault(*faults: Fault) -> Cause:
    def cause(migration: Migration) -> Migration:
        migration.door.faults.extend(faults)
        return migration

    return cause


def quoting_the_request() -> Fault:
    """DynamoDB answers a wrong signature by quoting the request that it would have expected, headers and all."""
    message = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n"
        f"host:dynamodb.us-east-1.amazonaws.com\nx-amz-date:20261121T100000Z\nx-amz-security-token:{TOKEN}\n\n"
        f"host;x-amz-date;x-amz-security-token\ne3b0c44298fc1c14'\n\nThe String-to-Sign should have been\n'AWS4'"
    )
    return lambda request, forward: Reply.error("com.amazon.coral.service#InvalidSignatureException", message)


def source_missing(migration: Migration) -> Migration:
    migration.source.unlink()
    return migration


def mapping_not_valid(migration: Migration) -> Migration:
    migration.write(more={"Row": {"source": "rows", "key": {"PK": "{nothing}"}, "attributes": {"a": "${UNSET}"}}})
    return migration


def bug_in_a_filter(migration: Migration) -> Migration:
    (migration.folder / "own.py").write_text("import os\ndef fail(value): raise ValueError(value)\n", encoding="utf-8")
    row = {"source": "rows", "key": {"PK": "{id}"}, "attributes": {"v": "v|python:own.fail"}}
    migration.write(more={"Row": row})
    return migration


#: What goes wrong, the exit code, and the log format.
CAUSES: list[tuple[Cause, int, str]] = [
    (with_fault(), 1, "json"),
    (with_fault(deny(None, kind=DENIED)), 3, "text"),
    (with_fault(deny(None, kind=EXPIRED)), 3, "json"),
    (with_fault(quoting_the_request()), 3, "text"),
    (with_fault(quoting_the_request()), 3, "json"),
    (with_fault(server_error(None)), 3, "text"),
    (source_missing, 3, "json"),
    (mapping_not_valid, 2, "text"),
    (bug_in_a_filter, 1, "text"),
]


@pytest.fixture(scope="module", autouse=True)
def unanswered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Waiting]]:
    """Start them with the first test; the last ones wait for them."""
    with ExitStack() as stack:
        started = {}
        for name, (more, target, log_format) in UNANSWERED.items():
            migration = with_environment(without_engine(tmp_path_factory.mktemp("unanswered")), **SECRETS, **more)
            fill(migration)
            migration.write(ROW, target=target, **PATIENCE)
            options = ("--log-level", "debug", "--log-format", log_format)
            started[name] = stack.enter_context(waiting(migration, *options))
        yield started


def fill(migration: Migration) -> None:
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, v TEXT)")
        connection.execute("INSERT INTO rows VALUES (1, 'one'), (2, CAST(x'ff' AS TEXT))")


@pytest.mark.parametrize(("cause", "exit_code", "log_format"), CAUSES)
def test_46_no_secret_is_written(migration: Migration, cause: Cause, exit_code: int, log_format: str) -> None:
    fill(migration)
    migration.write(ROW, **PATIENCE)
    caused = cause(with_environment(migration, **SECRETS))
    outcome = caused.run("--log-level", "debug", "--log-format", log_format)
    assert_kept(caused, outcome, exit_code)


@pytest.mark.parametrize("name", UNANSWERED)
def test_46_no_secret_is_written_where_nobody_answers(unanswered: dict[str, Waiting], name: str) -> None:
    waited = unanswered[name]
    assert_kept(waited.migration, waited.outcome(), 3)


def assert_kept(migration: Migration, outcome: Outcome, exit_code: int) -> None:
    assert outcome.exit_code == exit_code, outcome.stderr
    assert ("raceback" in outcome.stderr) == (exit_code > 1), "the log is not as talkative as it can be"
    assert leaks(migration, outcome) == []


def leaks(migration: Migration, outcome: Outcome) -> list[str]:
    """The names of secrets that anything has in it, and where."""
    files = {str(path): path.read_bytes() for path in migration.folder.rglob("*") if path.is_file()}
    written = {"stdout": outcome.stdout.encode(), "stderr": outcome.stderr.encode(), **files}
    return [
        f"{name} in {where}" for where, text in written.items() for name in SECRETS if SECRETS[name].encode() in text
    ]
