"""The benchmark compares like with like: everyone writes the same items, and all of them are counted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from benchmarks import native, subjects
from benchmarks.case import TABLE, Case, iter_items
from benchmarks.cases import CASES, NARROW, NESTED, NINE, PROVED
from benchmarks.measure import WorkFolder, measure, used_by
from benchmarks.safeguards import PATCHES, patched
from benchmarks.sink import Sink
from benchmarks.subjects import OURS_ALONE, Given
from door import Door

ROWS = 30

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


@pytest.fixture
def engine(moto_url: str) -> str:
    """One engine will do: what is compared is what was sent."""
    return moto_url


@pytest.mark.parametrize("case", [NINE, NARROW, NESTED, PROVED, CASES["columns20"]], ids=lambda case: case.name)
def test_the_peers_build_the_items_that_the_mapping_gives(
    case: Case, door: Door, dynamodb: Any, tmp_path: Path
) -> None:
    source, sink = WorkFolder(tmp_path).source(case, ROWS), Sink(door.url, certificate=None)
    used_by(OURS_ALONE.command(Given(case, source, sink, tmp_path)), sink, tmp_path)
    deserialize = TypeDeserializer().deserialize
    stored = [{name: deserialize(item[name]) for name in item} for item in dynamodb.scan(TableName=TABLE)["Items"]]
    expected = list(iter_items(case, str(source)))
    assert len(expected) == ROWS
    assert sorted(stored, key=lambda item: item["PK"]) == sorted(expected, key=lambda item: item["PK"])


@pytest.fixture
def sink_program() -> Path:
    """Skip where the sink cannot be compiled."""
    try:
        return native.build("sink")
    except SystemExit as missing:
        pytest.skip(str(missing))


@pytest.mark.usefixtures("sink_program")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_sink_counts_every_row_once(tls: bool, tmp_path: Path) -> None:
    assert measure(OURS_ALONE, NINE, ROWS, WorkFolder(tmp_path), latency_ms=1, tls=tls).items == ROWS


@pytest.mark.parametrize("name", PATCHES)
def test_a_run_whose_safeguards_are_switched_off_writes_the_same(
    name: str, door: Door, dynamodb: Any, tmp_path: Path
) -> None:
    source, sink = WorkFolder(tmp_path).source(NINE, ROWS), Sink(door.url, certificate=None)
    used_by(patched(name).command(Given(NINE, source, sink, tmp_path)), sink, tmp_path)
    assert len(dynamodb.scan(TableName=TABLE)["Items"]) == ROWS


def test_where_the_peers_are_missing_it_is_said_what_makes_them(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(subjects, "PEERS", tmp_path / "python")
    with pytest.raises(SystemExit, match="make bench"):
        subjects.require_peers()
