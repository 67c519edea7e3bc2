"""What a run keeps before it writes: whole lines, and of each key the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.errors import UsageError
from migrator.run.undo import WrittenFile, WrittenLine, iter_written, part_file
from migrator.target.undo import Written


def line(key: str, before: dict[str, Any] | None = None) -> WrittenLine:
    return WrittenLine("orders", Written(key, b"\0" * 16, before, None))


def keep(folder: Path, segment: int, rows_done: int, *lines: WrittenLine) -> Path:
    path = part_file(folder, segment, rows_done)
    file = WrittenFile(path)
    file.append(lines)
    file.close()
    return path


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    before = {"PK": {"S": "\u2028é"}, "b": {"B": b"\0\xff"}, "l": {"L": [{"BS": [b"1"]}, {"NULL": True}, {"N": "1.0"}]}}
    lines = [line("a", before), line("b"), WrittenLine("orders", Written("c", b"\1" * 16, None, 7))]
    keep(tmp_path, 0, 0, *lines)
    assert list(iter_written(tmp_path)) == lines


def test_of_a_key_the_first_line_counts_in_the_order_of_the_parts(tmp_path: Path) -> None:
    keep(tmp_path, 2, 10, line("a", {"x": {"S": "later"}}), line("b"))
    keep(tmp_path, 2, 9, line("a"))
    keep(tmp_path, 10, 0, line("c"))
    assert list(iter_written(tmp_path)) == [line("a"), line("b"), line("c")]


def test_a_key_of_one_table_is_not_taken_for_that_of_another(tmp_path: Path) -> None:
    lines = [line("a"), WrittenLine("invoices", line("a").item)]
    keep(tmp_path, 3, 0, *lines)
    assert list(iter_written(tmp_path)) == lines


@pytest.mark.parametrize("torn", [b"{", b"x" * 200_000])
def test_a_part_that_is_repeated_goes_on_behind_its_last_whole_line(tmp_path: Path, torn: bytes) -> None:
    path = keep(tmp_path, 0, 0, line("a"))
    with path.open("ab") as file:
        file.write(torn)
    assert list(iter_written(tmp_path)) == [line("a")]
    keep(tmp_path, 0, 0, line("b"))
    assert list(iter_written(tmp_path)) == [line("a"), line("b")]


def test_a_file_without_a_whole_line_begins_anew(tmp_path: Path) -> None:
    part_file(tmp_path, 0, 0).write_bytes(b'{"table"')
    keep(tmp_path, 0, 0, line("a"))
    assert list(iter_written(tmp_path)) == [line("a")]


@pytest.mark.parametrize("wrong", [b"{}", b"[]", b"\0\0", b'{"table": 1, "key": "a", "digest": "x", "before": null}'])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, wrong: bytes) -> None:
    path = keep(tmp_path, 0, 0, line("a"))
    with path.open("ab") as file:
        file.write(wrong + b"\n")
    with pytest.raises(UsageError, match=r"0-0\.jsonl: line 2 cannot be read"):
        list(iter_written(tmp_path))
