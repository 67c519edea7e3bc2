"""Who is measured, and the command that each is run by. All read the same source file and write to the same sink."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from benchmarks import native
from benchmarks.case import TABLE, Case, iter_items
from benchmarks.peers.common import iter_batches
from benchmarks.sink import Sink

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".cache" / "peers-venv" / "bin" / "python"
AIOBOTOCORE = ROOT / ".cache" / "aiobotocore-venv" / "bin" / "python"
WORKERS = 2
FLOOR_CONNECTIONS = 64
FLOOR_TIMES = 10

PLAN = """\
version: 1
name: bench
source: {source}
mappings: [mapping.yaml]
settings: {{parallelism: {workers}{settings}}}
"""


@dataclass(frozen=True, slots=True)
class Given:
    """What a subject is to migrate, and a folder of its own to do it in."""

    case: Case
    source: Path
    sink: Sink
    folder: Path


Command = list[str | Path]


@dataclass(frozen=True, slots=True)
class Subject:
    """`times` is how often it writes the source."""

    name: str
    command: Callable[[Given], Command]
    times: int = 1


def migrator(workers: int, settings: str = "") -> Subject:
    """As a user runs it: `migrator run plan.yaml`, every default in place but what `settings` says."""

    def command(given: Given) -> Command:
        plan = write_plan(given.folder, given.case.mapping, given.source, workers, settings)
        return [sys.executable, "-m", "migrator", "run", plan]

    return Subject(f"migrator, {workers} worker{'s' if workers > 1 else ''}", command)


def on_cluster(workers: int, settings: str = "") -> Subject:
    """The same on a Dask cluster of this machine's own."""

    def command(given: Given) -> Command:
        return [*migrator(workers, settings).command(given), "--cluster", f"local:{workers}"]

    return Subject(f"migrator, local:{workers}", command)


def write_plan(folder: Path, mapping: str, source: Path, workers: int = WORKERS, settings: str = "") -> Path:
    (folder / "mapping.yaml").write_text(mapping, encoding="utf-8")
    plan = folder / "plan.yaml"
    plan.write_text(
        PLAN.format(source=source, workers=workers, settings=settings and f", {settings}"), encoding="utf-8"
    )
    return plan


def require_peers() -> None:
    """Ends the benchmark where the peers' environments are not."""
    if not (PEERS.exists() and AIOBOTOCORE.exists()):
        raise SystemExit("benchmarks: the peers' environments are not here: `make bench` makes them")


def peer(name: str, script: str, *options: str, python: Path = PEERS) -> Subject:
    def command(given: Given) -> Command:
        require_peers()
        return [python, "-m", f"benchmarks.peers.{script}", given.case.name, given.source, *options]

    return Subject(name, command)


def floor() -> Subject:
    def command(given: Given) -> Command:
        bodies = given.folder / "bodies"
        write_bodies(given.case, given.source, bodies)
        port = given.sink.url.rpartition(":")[2]
        return [native.build("floor"), port, str(FLOOR_CONNECTIONS), str(FLOOR_TIMES), bodies]

    return Subject("floor: prebuilt bodies from C", command, FLOOR_TIMES)


def write_bodies(case: Case, source: Path, path: Path) -> None:
    """The case's requests, each after its length: what floor.c sends."""
    with path.open("wb") as file:
        for batch in iter_batches(iter_items(case, str(source))):
            puts = [{"PutRequest": {"Item": {name: _wire(item[name]) for name in item}}} for item in batch]
            body = json.dumps({"RequestItems": {TABLE: puts}}, separators=(",", ":"), ensure_ascii=False).encode()
            file.write(struct.pack("<I", len(body)) + body)


def _wire(value: object) -> dict[str, str]:
    return {"N": str(value)} if isinstance(value, int | Decimal) else {"S": str(value)}


BATCH_WRITER = peer("boto3 batch_writer", "batch_writer")
OURS = migrator(WORKERS)
OURS_ALONE = migrator(1)
PEER_SUBJECTS = (
    BATCH_WRITER,
    peer("boto3 client, 8 threads", "threads"),
    peer("the same, validation off", "threads", "--no-validation"),
    peer("awswrangler put_items", "wrangler"),
    peer("PynamoDB batch_write", "pynamo"),
    peer("aiobotocore, 64 in flight", "aio", python=AIOBOTOCORE),
)
FLOOR = floor()


def environment(sink: Sink, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Credentials that are none, no settings of the user's own, no proxy."""
    kept = {name: value for name, value in base.items() if not name.startswith("AWS_") and "proxy" not in name.lower()}
    trust = {"AWS_CA_BUNDLE": str(sink.certificate)} if sink.certificate else {}
    return (
        kept
        | trust
        | {
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DYNAMODB": sink.url,
        }
    )
