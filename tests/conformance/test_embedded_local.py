"""The DynamoDB of `--local`: kept between commands, shared by them, saved however they end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from migrator import extras
from migrator.errors import TargetError, UsageError
from migrator.target import embedded_files as files
from migrator.target.embedded import embedded, local_target, serve
from migrator.target.session import TargetSettings, create_client

TABLE = {
    "TableName": "Kept",
    "AttributeDefinitions": [
        {"AttributeName": "PK", "AttributeType": "B"},
        {"AttributeName": "SK", "AttributeType": "N"},
        {"AttributeName": "GPK", "AttributeType": "B"},
    ],
    "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "GSI1",
            "KeySchema": [{"AttributeName": "GPK", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "SSESpecification": {"Enabled": True},
    "Tags": [{"Key": "Project", "Value": "madmall"}],
}
ITEM = {
    "PK": {"B": b"\xff\x00"},
    "SK": {"N": "1.50"},
    "GPK": {"B": b"g"},
    "text": {"S": "é \x00 😀"},
    "flags": {"L": [{"BOOL": False}, {"NULL": True}, {"B": b"\xfe"}]},
    "map": {"M": {"B": {"S": "not binary"}, "sets": {"M": {"BS": {"BS": [b"a", b"\xff"]}}}}},
    "names": {"SS": ["a", "b"]},
    "empty": {"S": ""},
}
#: A command that holds an embedded server until its standard input ends.
COMMAND = """
import sys
from pathlib import Path
from migrator.target.embedded import embedded
with embedded(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""
SERVE = "import sys; from pathlib import Path; from migrator.target.embedded import serve; serve(0, Path(sys.argv[1]))"
DEADLINE_S = 30
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}  # it takes any


def connect(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", config=config, **CREDENTIALS)


@contextmanager
def process(script: str, state_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a script that prints its URL; ended at the latest with the context."""
    command = subprocess.Popen(
        [sys.executable, "-c", script, str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with command:
        assert command.stdout is not None
        try:
            yield command, command.stdout.readline().strip()
        finally:
            if command.poll() is None:
                command.terminate()


def await_end(pid: int) -> None:
    """Wait for a process that is no child of ours."""
    give_up = time.monotonic() + DEADLINE_S
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < give_up, f"process {pid} is still there"
        time.sleep(0.05)


def server_pid(state_dir: Path) -> int:
    return int(json.loads((state_dir / "local/server.json").read_text())["pid"])


def request(url: str, method: str, path: str, headers: dict[str, str] | None = None) -> int:
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)) as connection:
        connection.request(method, path, b"{}", headers or {})
        return connection.getresponse().status


# ---- kept between commands


def test_items_and_settings_are_there_again(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        client = connect(url)
        client.create_table(**TABLE)
        client.put_item(TableName="Kept", Item=ITEM)
        client.update_time_to_live(
            TableName="Kept", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )
        client.update_continuous_backups(
            TableName="Kept", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        before = all_of(client)
    with embedded(tmp_path) as url:
        assert all_of(connect(url)) == before


def all_of(client: Any) -> dict[str, Any]:
    table = client.describe_table(TableName="Kept")["Table"]
    return {
        "table": table,
        "items": client.scan(TableName="Kept")["Items"],
        "by key": client.get_item(TableName="Kept", Key={"PK": ITEM["PK"], "SK": {"N": "1.5"}}).get("Item"),
        "by index": client.query(
            TableName="Kept",
            IndexName="GSI1",
            KeyConditionExpression="GPK = :g",
            ExpressionAttributeValues={":g": {"B": b"g"}},
        )["Items"],
        "ttl": client.describe_time_to_live(TableName="Kept")["TimeToLiveDescription"],
        "backups": client.describe_continuous_backups(TableName="Kept")["ContinuousBackupsDescription"],
        "tags": client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"],
    }


def test_deleted_table_stays_deleted(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        connect(url).create_table(**TABLE)
    with embedded(tmp_path) as url:
        connect(url).delete_table(TableName="Kept")
    with embedded(tmp_path) as url:
        assert connect(url).list_tables()["TableNames"] == []


def test_reading_leaves_the_saved_file_alone(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        connect(url).create_table(**TABLE)
    saved = (tmp_path / "local/tables.jsonl").stat()
    with embedded(tmp_path) as url:
        connect(url).scan(TableName="Kept")
    assert (tmp_path / "local/tables.jsonl").stat().st_ino == saved.st_ino


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    with embedded(tmp_path):
        pid = server_pid(tmp_path)
    assert not Path(f"/proc/{pid}").exists()


def test_tables_cut_short_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        connect(url).create_table(**TABLE)
    saved = tmp_path / "local/tables.jsonl"
    damaged = saved.read_text().rpartition('{"end"')[0]
    saved.write_text(damaged)
    with pytest.raises(TargetError, match=r"tables\.jsonl"), embedded(tmp_path):
        pass
    assert saved.read_text() == damaged


# ---- however a command ends


def test_killed_command_leaves_its_tables_saved_and_no_process(tmp_path: Path) -> None:
    with process(COMMAND, tmp_path) as (command, url):
        connect(url).create_table(**TABLE)
        server = server_pid(tmp_path)
        command.kill()
        command.wait()
        await_end(server)
    with embedded(tmp_path) as url:
        assert connect(url).list_tables()["TableNames"] == ["Kept"]


def test_interrupt_from_the_terminal_ends_the_command_and_not_its_server(tmp_path: Path) -> None:
    with embedded(tmp_path):
        assert os.getpgid(server_pid(tmp_path)) != os.getpgid(0)


def test_terminated_server_saves(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        connect(url).create_table(**TABLE)
        os.kill(server_pid(tmp_path), signal.SIGTERM)
    with embedded(tmp_path) as url:
        assert connect(url).list_tables()["TableNames"] == ["Kept"]


def test_killed_server_is_followed_by_another_with_what_was_saved(tmp_path: Path) -> None:
    with embedded(tmp_path) as url:
        connect(url).create_table(**TABLE)
    with embedded(tmp_path):
        os.kill(server_pid(tmp_path), signal.SIGKILL)
    assert (tmp_path / "local/server.json").exists()
    with embedded(tmp_path) as url:
        assert connect(url).list_tables()["TableNames"] == ["Kept"]


# ---- shared


def test_two_commands_share_a_server_that_outlives_the_first(tmp_path: Path) -> None:
    with process(COMMAND, tmp_path) as (first, url), embedded(tmp_path) as second_url:
        first.communicate("")
        connect(second_url).create_table(**TABLE)
        assert first.returncode == 0
        assert second_url == url
    with embedded(tmp_path) as again:
        assert connect(again).list_tables()["TableNames"] == ["Kept"]


def test_commands_that_start_together_get_one_server(tmp_path: Path) -> None:
    with process(COMMAND, tmp_path) as (_, first), process(COMMAND, tmp_path) as (_, second):
        assert first == second


# ---- a running `migrator local`


def test_running_local_is_used(tmp_path: Path) -> None:
    with process(SERVE, tmp_path / "served") as (_, url), embedded(tmp_path / "mine") as found:
        assert found == url
    assert not (tmp_path / "mine").exists()


def test_running_local_keeps_its_tables_and_takes_itself_off_the_register(tmp_path: Path) -> None:
    with process(SERVE, tmp_path) as (server, url):
        connect(url).create_table(**TABLE)
        assert stat.S_IMODE(files.registry_path().stat().st_mode) == 0o600
        server.terminate()
        assert server.wait(DEADLINE_S) == 0
    assert not files.registry_path().exists()
    with embedded(tmp_path) as url:
        assert connect(url).list_tables()["TableNames"] == ["Kept"]


def test_local_without_a_state_folder_keeps_nothing(tmp_path: Path) -> None:
    script = "import sys; from migrator.target.embedded import serve; serve(0, None)"
    with process(script, tmp_path) as (_, url):
        connect(url).create_table(**TABLE)
    assert not (tmp_path / "local").exists()


def test_register_left_by_a_dead_server_is_ignored(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    files.register(files.registry_path(), files.Place(url, 1, "token"))
    with embedded(tmp_path) as found:
        assert found != url


def test_register_whose_port_has_another_server_is_ignored(tmp_path: Path, moto_url: str) -> None:
    files.register(files.registry_path(), files.Place(moto_url, os.getpid(), "not its token"))
    assert files.find_running(files.registry_path()) is None


def test_register_that_leads_to_another_machine_is_ignored() -> None:
    files.register(files.registry_path(), files.Place("http://192.0.2.1:8000", os.getpid(), "token"))
    assert files.find_running(files.registry_path()) is None


def test_register_of_another_user_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with process(SERVE, tmp_path) as (_, url):
        assert files.find_running(files.registry_path()) == url
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert files.find_running(files.registry_path()) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"url": 1}', '{"url": 1, "pid": 2, "token": 3}'])
def test_register_that_is_garbage_is_ignored(content: str) -> None:
    files.registry_path().write_text(content)
    assert files.find_running(files.registry_path()) is None


def test_port_in_use_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="--port") as caught:
            serve(taken.getsockname()[1], tmp_path)
    assert caught.value.code == "port_taken"


# ---- what it needs, what it lets in


def test_missing_extra_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "migrator\[local\]"'), embedded(tmp_path):
        pass
    with pytest.raises(UsageError, match=r'pip install "migrator\[local\]"'):
        serve(0, tmp_path)


def test_real_credentials_never_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real-secret")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with embedded(tmp_path) as url:
        environment = Path(f"/proc/{server_pid(tmp_path)}/environ").read_bytes()
        with closing(create_client(TargetSettings(**local_target(url)))) as client:
            assert client.list_tables()["TableNames"] == []
    assert b"AWS_" not in environment


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/moto-api/reset", {}),
        ("GET", "/moto-api/data.json", {}),
        ("GET", "/", {}),
        ("OPTIONS", "/", {"Origin": "http://example.org", "Access-Control-Request-Method": "POST"}),
        ("GET", "/bucket", {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20261121/us-east-1/s3/aws4_request"}),
        ("POST", "/", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}),
    ],
    ids=["reset", "data", "page", "preflight", "s3", "unsigned"],
)
def test_nothing_but_signed_dynamodb_requests_gets_in(moto_url: str, method: str, path: str, headers: Any) -> None:
    assert request(moto_url, method, path, headers) == 403


def test_foreign_host_name_is_refused(moto_url: str) -> None:
    headers = {
        "Host": "rebound.example.org",
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Authorization": "AWS4-HMAC-SHA256 Credential=k/20261121/us-east-1/dynamodb/aws4_request",
    }
    assert request(moto_url, "POST", "/", headers) == 403
