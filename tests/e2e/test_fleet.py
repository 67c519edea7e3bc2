"""Many files in one plan, one a tenant: in a folder and in S3, with some that cannot be migrated."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from command import Migrator, Outcome
from cut_off import kill_at_write
from fleet import change_schema, damage, expected_items, make_fleet, make_tenant, tenant, write_plan

TABLE = "fleet"
Differences = Callable[[Any, Any], list[str]]


def source_of(outcome: Outcome, path: str) -> dict[str, Any]:
    (found,) = (file for file in outcome.report["source"] if file["path"] == path)
    return found


def errors(outcome: Outcome) -> dict[str, str]:
    """Of files that were left out, by their names."""
    return {Path(f["path"]).stem: f["error"]["code"] for f in outcome.report["source"] if f["error"]}


# ---- in a folder

TENANTS, DAMAGED, OTHER = range(202), 17, 101


@pytest.fixture
def two_hundred(tmp_path: Path) -> Path:
    place = make_fleet(tmp_path, TENANTS)
    damage(place / f"{tenant(DAMAGED)}.sqlite")
    change_schema(place / f"{tenant(OTHER)}.sqlite")
    return write_plan(tmp_path, TABLE)


def test_two_hundred_tenants_arrive_and_two_that_cannot_are_named(
    migrator: Migrator, two_hundred: Path, scan: Any, differences: Differences
) -> None:
    run = migrator("run", two_hundred)
    assert run.exit_code == 1, run.stderr
    good = [number for number in TENANTS if number not in (DAMAGED, OTHER)]
    assert differences(scan(TABLE), expected_items(good)) == []
    assert errors(run) == {tenant(DAMAGED): "source_damaged", tenant(OTHER): "document"}
    assert "202; 2 set aside" in run.stdout
    assert f"{tenant(DAMAGED)}.sqlite: the file is damaged" in run.stdout
    assert f'{tenant(OTHER)}.sqlite: fleet.yaml: entities.Order.key.SK: column "id" is not in' in run.stdout

    told = source_of(run, str(two_hundred.parent / "tenants" / f"{tenant(0)}.sqlite"))
    counts = {"read": 3, "items": 3, "written": 3, "rejected": 0, "failed": 0}
    assert told["entities"] == [{"entity": name, **counts} for name in ("User", "Order", "Setting")]
    assert (told["read"], told["written"], told["error"]) == (9, 9, None)
    assert sum(file["written"] for file in run.report["source"]) == run.report["totals"]["written"] == 200 * 9

    verify = migrator("verify", two_hundred)
    assert (verify.exit_code, verify.report["status"]) == (1, "incomplete"), verify.stdout
    assert "access patterns: 1 of 1 agree" in verify.stdout
    assert {Path(each["path"]).stem for each in verify.report["set_aside"]} == {tenant(DAMAGED), tenant(OTHER)}


def test_a_file_that_was_mended_arrives_with_the_next_run(
    migrator: Migrator, tmp_path: Path, scan: Any, differences: Differences
) -> None:
    place = make_fleet(tmp_path, range(4))
    plan = write_plan(tmp_path, TABLE)
    damage(place / f"{tenant(2)}.sqlite")
    assert migrator("run", plan).exit_code == 1
    (place / f"{tenant(2)}.sqlite").unlink()
    make_tenant(place / f"{tenant(2)}.sqlite", 2, rows=3)
    assert migrator("run", plan).exit_code == 0
    assert differences(scan(TABLE), expected_items(range(4))) == []
    assert migrator("verify", plan).exit_code == 0


def test_items_of_a_file_that_broke_since_are_not_called_extra(migrator: Migrator, tmp_path: Path) -> None:
    place = make_fleet(tmp_path, range(4))
    plan = write_plan(tmp_path, TABLE)
    assert migrator("run", plan).exit_code == 0
    damage(place / f"{tenant(2)}.sqlite")
    verify = migrator("verify", plan)
    assert verify.exit_code == 1, verify.stdout
    assert (verify.report["of_set_aside"], verify.report["foreign"]) == (9, 0)


# ---- in S3


@dataclass(frozen=True)
class Bucket:
    """Tenants' files in S3, put there from a folder, and the command that may look there."""

    client: Any
    name: str
    folder: Path
    migrator: Migrator

    def put(self, numbers: Iterable[int], rows: int = 3) -> None:
        for path in sorted(make_fleet(self.folder, numbers, rows).iterdir()):
            self.upload(path)
            path.unlink()

    def upload(self, path: Path, key: str = "") -> None:
        self.client.upload_file(str(path), self.name, key or f"tenants/{path.name}")

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def plan(self, *keys: str, **more: Any) -> Path:
        sources = ", ".join(f'"{self.url(key)}"' for key in keys or ("tenants/*.sqlite",))
        return write_plan(self.folder, TABLE, f"[{sources}]", **more)

    @property
    def fetched(self) -> set[str]:
        return {path.name for path in (self.folder / ".migrator" / "fleet" / "fetched").iterdir()}


@pytest.fixture
def bucket(aws_url: str, migrator: Migrator, tmp_path: Path) -> Bucket:
    client = boto3.client("s3", endpoint_url=aws_url)
    name = f"fleet-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    environment = {**migrator.environment, "AWS_ENDPOINT_URL_S3": aws_url}
    return Bucket(client, name, tmp_path, replace(migrator, environment=environment))


def test_tenants_in_s3_arrive_and_those_that_cannot_are_named(
    bucket: Bucket, scan: Any, differences: Differences, tmp_path: Path
) -> None:
    bucket.put(range(24))
    place = make_fleet(tmp_path, (3, 5, 7))
    damage(place / f"{tenant(3)}.sqlite")
    change_schema(place / f"{tenant(5)}.sqlite")
    for path in place.iterdir():
        bucket.upload(path)
    bucket.client.put_object(Bucket=bucket.name, Key=f"tenants/{tenant(7)}.sqlite-wal", Body=b"rows")
    plan = bucket.plan("tenants/*.sqlite", f"tenants/{tenant(99)}.sqlite")
    run = bucket.migrator("run", plan)
    assert run.exit_code == 1, run.stderr
    codes = {3: "source_damaged", 5: "document", 7: "source_wal", 99: "source_missing"}
    assert errors(run) == {tenant(number): code for number, code in codes.items()}
    assert differences(scan(TABLE), expected_items(set(range(24)) - codes.keys())) == []
    told = source_of(run, bucket.url(f"tenants/{tenant(0)}.sqlite"))
    assert told["etag"] == told["snapshot"]
    assert bucket.migrator("check", plan).exit_code == 1
    assert bucket.migrator("verify", plan).exit_code == 1


def test_only_what_changed_is_fetched_again(bucket: Bucket, scan: Any, differences: Differences) -> None:
    bucket.put(range(3))
    plan = bucket.plan()
    assert bucket.migrator("run", plan).exit_code == 0
    before = bucket.fetched
    bucket.put([1], rows=4)
    assert bucket.migrator("run", plan).exit_code == 0
    assert (len(before), len(bucket.fetched), len(before & bucket.fetched)) == (3, 3, 2)
    assert differences(scan(TABLE), expected_items([0, 2]) | expected_items([1], rows=4)) == []


@pytest.fixture
def killed(bucket: Bucket, door: Any) -> Bucket:
    """A run of five tenants that was killed in the middle."""
    bucket.put(range(5), rows=15)
    plan = bucket.plan(parallelism=1, settings=", batch_size: 5, connections: 1")
    kill_at_write(bucket.migrator, plan, door, 8, bucket.folder / ".migrator" / "fleet" / "state.sqlite")
    return bucket


def test_a_killed_run_goes_on_with_what_it_fetched(
    killed: Bucket, door: Any, scan: Any, differences: Differences
) -> None:
    door.await_quiet()
    door.faults.clear()
    run = killed.migrator("run", killed.folder / "plan.yaml")
    assert run.exit_code == 0, run.stderr
    assert run.report["resumed"]
    assert differences(scan(TABLE), expected_items(range(5), rows=15)) == []
    assert sum(file["written"] for file in run.report["source"]) == run.report["totals"]["written"] == 5 * 45
    assert {file["written"] for file in run.report["source"]} == {45}


def test_a_killed_run_does_not_go_on_with_another_object(killed: Bucket, door: Any) -> None:
    door.await_quiet()
    killed.put([4], rows=16)
    run = killed.migrator("run", killed.folder / "plan.yaml")
    assert run.exit_code == 3
    assert run.report["error"]["code"] == "resume_refused"
    assert f"the source {killed.url(f'tenants/{tenant(4)}.sqlite')}, which has another ETag" in run.stderr


def test_or_without_one_that_is_gone(killed: Bucket, door: Any) -> None:
    door.await_quiet()
    killed.client.delete_object(Bucket=killed.name, Key=f"tenants/{tenant(4)}.sqlite")
    run = killed.migrator("run", killed.folder / "plan.yaml")
    assert run.exit_code == 3
    assert f"the source {killed.url(f'tenants/{tenant(4)}.sqlite')}, which is gone" in run.stderr


def test_it_begins_afresh_where_the_plan_says_so(
    killed: Bucket, door: Any, scan: Any, differences: Differences
) -> None:
    door.await_quiet()
    door.faults.clear()
    killed.put([4], rows=16)
    run = killed.migrator("run", killed.plan(parallelism=1, settings=", batch_size: 5, on_changed: restart"))
    assert run.exit_code == 0, run.stderr
    assert not run.report["resumed"]
    assert differences(scan(TABLE), expected_items(range(4), rows=15) | expected_items([4], rows=16)) == []


@pytest.mark.parametrize(
    ("key", "code", "says"),
    [
        ("none/*.sqlite", "source_missing", "no object's key fits"),
        ("none.sqlite", "source_missing", "there is no such object"),
    ],
)
def test_what_is_not_in_s3_ends_a_run_that_has_nothing_else(bucket: Bucket, key: str, code: str, says: str) -> None:
    run = bucket.migrator("run", bucket.plan(key))
    assert (run.exit_code, run.report["error"]["code"]) == (3, code)
    assert f"{bucket.url(key)}: {says}" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_bucket_that_is_not_there_ends_a_run(bucket: Bucket) -> None:
    bucket.put([0])
    run = bucket.migrator("run", replace(bucket, name=f"none-{uuid.uuid4().hex}").plan())
    assert (run.exit_code, run.report["error"]["code"]) == (3, "source_bucket_missing")


def test_local_never_asks_s3(bucket: Bucket) -> None:
    run = bucket.migrator("run", bucket.plan(), "--local")
    assert run.exit_code == 2
    assert "--local never leaves this machine, and source: names s3://" in run.stderr
