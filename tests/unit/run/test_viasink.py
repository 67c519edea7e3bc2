"""Import files: their lines, their order, their sizes, and what becomes of a part that cannot be put in place."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from migrator.errors import StoppedError
from migrator.mapping.encoded import EncodedItem
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import KeyAttribute, TableDefinition
from migrator.run import viasink
from migrator.run.segment import Segment, Unit
from migrator.run.viasink import FileSink
from migrator.target.importfiles import Files, Folder

TABLE = TableDefinition("orders", KeyAttribute("PK"), KeyAttribute("SK"))
MAKE_SINK = Callable[..., FileSink]


@pytest.fixture
def make_sink(tmp_path: Path) -> MAKE_SINK:
    def make(number: int = 0, *, done: int = 0, again: bool = False, place: Folder | None = None) -> FileSink:
        unit = Unit(0, "Order", 0, TABLE, RenderContext(now_s=0))
        files = Files(place or Folder(tmp_path / "out"), tmp_path)
        return FileSink(files, Segment(number, unit, done=done), again=again)

    return make


def items(partitions: int, each: int, filling: str = "") -> list[EncodedItem]:
    """Sorted by partition key, as rows of a table come."""
    return [item(partition, number, filling) for partition in range(partitions) for number in range(each)]


def item(partition: int, number: int, filling: str = "") -> EncodedItem:
    wire = b'{"PK":{"S":"%d"},"SK":{"S":"%d"},"x":{"S":"%s"}}' % (partition, number, filling.encode())
    return EncodedItem(wire, None, len(wire), 1)


def keys(file: Path) -> list[tuple[str, str]]:
    found = [json.loads(line)["Item"] for line in gzip.decompress(file.read_bytes()).splitlines()]
    return [(each["PK"]["S"], each["SK"]["S"]) for each in found]


def put_in_batches(sink: FileSink, given: list[EncodedItem], size: int = 500) -> None:
    for start in range(0, len(given), size):
        sink.put(given[start : start + size])


def test_each_item_is_a_line_of_its_segments_file(make_sink: MAKE_SINK, tmp_path: Path) -> None:
    sink = make_sink(12, done=7)
    put_in_batches(sink, items(3, 1_000))
    result = sink.close()
    found = keys(tmp_path / "out" / "orders" / "000012-7.json.gz")
    assert sorted(found) == sorted((str(p), str(n)) for p in range(3) for n in range(1_000))
    assert (result.written, result.bytes, result.write_units) == (3_000, sum(i.size_bytes for i in items(3, 1_000)), 0)


def test_rows_that_come_sorted_by_partition_are_spread_over_the_whole_file(
    make_sink: MAKE_SINK, tmp_path: Path
) -> None:
    """Of any thousand lines in a row no partition has much more than its share, a fortieth."""
    sink = make_sink()
    put_in_batches(sink, items(40, 1_000))
    sink.close()
    partitions = [partition for partition, _ in keys(tmp_path / "out" / "orders" / "000000-0.json.gz")]
    for start in range(0, len(partitions), 1_000):
        assert max(Counter(partitions[start : start + 1_000]).values()) <= 1.5 * 1_000 / 40


def test_a_file_is_full_by_its_bytes_whatever_the_size_of_items(
    make_sink: MAKE_SINK, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viasink, "FILE_BYTES", 1_000_000)
    monkeypatch.setattr(viasink, "WINDOW_BYTES", 100_000)
    sink = make_sink()
    put = 0
    while not sink.is_full:
        sink.put([item(put, 0, "x" * 300_000)])
        put += 1
    assert put == 4
    assert sink.close().written == 4


def test_few_items_wait_in_memory(make_sink: MAKE_SINK, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viasink, "WINDOW_BYTES", 10_000)
    sink = make_sink()
    waiting = 0
    for n in range(1_000):
        sink.put([item(n, 0, "x" * 100)])
        waiting = max(waiting, len(sink._window))
    sink.close()
    assert waiting < 100


def test_a_repeated_part_replaces_its_file_also_by_none(make_sink: MAKE_SINK, tmp_path: Path) -> None:
    first, again, without = make_sink(), make_sink(again=True), make_sink(again=True)
    first.put(items(1, 5))
    first.close()
    again.put(items(1, 3))
    again.close()
    (file,) = (tmp_path / "out" / "orders").iterdir()
    assert len(keys(file)) == 3
    without.close()
    assert not file.exists()


def test_a_part_without_items_leaves_no_file(make_sink: MAKE_SINK, tmp_path: Path) -> None:
    assert make_sink().close().written == 0
    assert not (tmp_path / "out").exists()


class Full(Folder, frozen=True):
    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        raise StoppedError("no room", code="files_unwritable")
        yield


def test_what_cannot_be_put_in_place_is_unsent(make_sink: MAKE_SINK, tmp_path: Path) -> None:
    sink = make_sink(place=Full(tmp_path))
    sink.put(items(1, 5))
    result = sink.close()
    assert (result.written, result.unsent, str(result.stopped)) == (0, 5, "no room")


def test_a_disk_that_is_full_ends_the_part(make_sink: MAKE_SINK, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(**_: object) -> IO[bytes]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(viasink.tempfile, "TemporaryFile", no_room)
    sink = make_sink()
    put_in_batches(sink, items(20, 1_000))
    assert sink.is_full
    result = sink.close()
    assert (result.unsent, result.written) == (20_000, 0)
    assert result.stopped is not None
    assert "No space left on device" in str(result.stopped)
