from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest

from migrator.errors import RowRejected, StoppedError
from migrator.run.rejects import (
    FailedFile,
    FailedLine,
    RejectFile,
    RejectLine,
    reject_line,
    source_key_from_json,
    source_key_json,
)
from migrator.source.text import InvalidText, SqliteValue


def line(key: SqliteValue = 1, detail: str = "no") -> RejectLine:
    return reject_line(
        entity="User",
        source="users",
        file="/data/shop.sqlite",
        key={"id": key},
        reject=RowRejected("null_key", detail, "email"),
        value=None,
        has_value=True,
    )


def test_a_line_has_exactly_the_documented_fields(tmp_path: Path) -> None:
    with RejectFile(tmp_path / "rejects.jsonl") as rejects:
        rejects.append([line()])
    assert json.loads((tmp_path / "rejects.jsonl").read_text(encoding="utf-8")) == {
        "entity": "User",
        "source": "users",
        "file": "/data/shop.sqlite",
        "row": {"id": {"N": "1"}},
        "column": "email",
        "code": "null_key",
        "detail": "no",
        "storage_class": "NULL",
    }


def test_a_reject_without_a_value_has_no_storage_class() -> None:
    reject = RowRejected("duplicate_key", "taken")
    found = reject_line(entity="User", source="users", file="f", key={"id": 1}, reject=reject)
    assert (found.column, found.storage_class) == (None, None)


@pytest.mark.parametrize("text", ["a\0b", "日本 😀", 'quote " and \\', "two\nlines\r\x85\u2028\u2029\x1c", "\ud800"])
def test_any_text_stands_whole_on_one_line(tmp_path: Path, text: str) -> None:
    with RejectFile(tmp_path / "rejects.jsonl") as rejects:
        rejects.append([line(text, detail=text), line(2)])
    lines = (tmp_path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    first = json.loads(lines[0])
    assert (first["row"]["id"], first["detail"]) == ({"S": text}, text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {"NULL": True}),
        (2**63 - 1, {"N": "9223372036854775807"}),
        (0.1, {"N": "0.1"}),
        ("", {"S": ""}),
        (b"\x00\xff", {"B": "AP8="}),
        (InvalidText(b"caf\xe9"), {"hex": "636166e9"}),
        (-math.inf, {"N": "-inf"}),
    ],
)
def test_a_key_value_stands_as_what_it_is_and_comes_back(value: SqliteValue, expected: dict[str, object]) -> None:
    written = source_key_json({"k": value})
    assert written == {"k": expected}
    back = source_key_from_json(json.loads(json.dumps(written)))["k"]
    assert (back, type(back)) == (value, type(value))


def test_a_failed_item_stands_as_dynamodb_json_with_the_row_that_gave_it(tmp_path: Path) -> None:
    item = {"PK": {"S": "a"}, "m": {"M": {"b": {"B": b"\x01"}, "s": {"SS": {"y", "x"}}}}}
    with FailedFile(tmp_path / "failed.jsonl") as failed:
        failed.append(
            [
                FailedLine(
                    entity="User",
                    source="users",
                    file="/data/shop.sqlite",
                    row={"id": {"N": "7"}},
                    table="t",
                    key={"PK": {"S": "a"}},
                    item=item,
                    code="ValidationException",
                    message="too odd",
                )
            ]
        )
    assert json.loads((tmp_path / "failed.jsonl").read_bytes()) == {
        "entity": "User",
        "source": "users",
        "file": "/data/shop.sqlite",
        "row": {"id": {"N": "7"}},
        "table": "t",
        "key": {"PK": {"S": "a"}},
        "item": {"PK": {"S": "a"}, "m": {"M": {"b": {"B": "AQ=="}, "s": {"SS": ["x", "y"]}}}},
        "code": "ValidationException",
        "message": "too odd",
    }


def test_a_resumed_run_cuts_what_was_written_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectFile(path) as rejects:
        kept = rejects.append([line(1)])
        rejects.append([line(2)])
    with RejectFile(path, keep_bytes=kept) as rejects:
        rejects.append([line(3)])
    assert [json.loads(text)["row"]["id"]["N"] for text in path.read_text().splitlines()] == ["1", "3"]


def test_a_file_opened_again_is_extended(tmp_path: Path) -> None:
    for key in (1, 2):
        with RejectFile(tmp_path / "rejects.jsonl") as rejects:
            rejects.append([line(key)])
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 2


def test_the_path_is_absolute_and_the_file_is_there_without_rejects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RejectFile("state/rejects.jsonl") as rejects:
        assert rejects.path == tmp_path / "state" / "rejects.jsonl"
        assert rejects.append([]) == 0
    assert (tmp_path / "state" / "rejects.jsonl").read_bytes() == b""


def test_a_full_disk_stops_the_run_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectFile(path) as rejects:
        rejects.append([line(1)])
        whole = path.read_bytes()

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoppedError, match="No space left"):
            rejects.append([line(2)])
    assert path.read_bytes() == whole
