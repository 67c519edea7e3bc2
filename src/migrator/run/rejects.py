"""The dead-letter files: rows that could not become items, and items that the target would not take.

JSON lines, appended a segment at a time and on disk before the segment is counted.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec import Struct

from migrator.errors import RowRejected, StoppedError
from migrator.mapping.model import Attributes, AttributeValue
from migrator.source.text import InvalidText, SqliteValue, storage_class


class Line(Protocol):
    def to_json(self) -> dict[str, Any]: ...


class RejectLine(Struct, frozen=True):
    """A rejected row: its key, and the first thing wrong with it."""

    entity: str
    source: str | None
    file: str | None
    row: dict[str, AttributeValue]  #: the source key, by `source_key_json`
    column: str | None
    code: str
    detail: str
    storage_class: str | None  #: of the value in `column`

    def to_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "source": self.source,
            "file": self.file,
            "row": self.row,
            "column": self.column,
            "code": self.code,
            "detail": self.detail,
            "storage_class": self.storage_class,
        }


def reject_line(
    *,
    entity: str,
    source: str | None,
    file: str | None,
    key: Mapping[str, SqliteValue],
    reject: RowRejected,
    value: SqliteValue = None,
    has_value: bool = False,
) -> RejectLine:
    """The line of one row. `value` is what stands in the reject's column, where that is a column of the row."""
    found = storage_class(value) if has_value else None
    return RejectLine(entity, source, file, source_key_json(key), reject.column, reject.code, reject.detail, found)


class FailedLine(Struct, frozen=True):
    """A valid item that the target refused, or would not take within the attempts; with the service's words.

    `source`, `file` and `row` are of the row that gave the item, as in a RejectLine; a fixed item has none.
    """

    entity: str
    source: str | None
    file: str | None
    row: dict[str, AttributeValue] | None
    table: str
    key: Attributes
    item: Attributes
    code: str
    message: str

    def to_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "source": self.source,
            "file": self.file,
            "row": self.row,
            "table": self.table,
            "key": attributes_json(self.key),
            "item": attributes_json(self.item),
            "code": self.code,
            "message": self.message,
        }


def source_key_json(key: Mapping[str, SqliteValue]) -> dict[str, AttributeValue]:
    """A source row's key as DynamoDB JSON that loses nothing.

    >>> source_key_json({"id": 7, "code": b"\\x01", "name": InvalidText(b"a\\xff")})
    {'id': {'N': '7'}, 'code': {'B': 'AQ=='}, 'name': {'hex': '61ff'}}
    """
    return {column: sqlite_value_json(value) for column, value in key.items()}


def sqlite_value_json(value: SqliteValue) -> AttributeValue:
    """A value as DynamoDB JSON, by its storage class."""
    match value:
        case None:
            return {"NULL": True}
        case InvalidText():
            return {"hex": value.hex()}
        case bytes():
            return {"B": _base64(value)}
        case str():
            return {"S": value}
        case _:
            # Infinities too, as "inf": no number to DynamoDB, but the only name the row has.
            return {"N": repr(value)}


def source_key_from_json(row: Mapping[str, AttributeValue]) -> dict[str, SqliteValue]:
    """The key that `source_key_json` wrote.

    >>> source_key_from_json({"id": {"N": "7"}, "x": {"N": "1.5"}, "code": {"B": "AQ=="}, "name": {"hex": "61ff"}})
    {'id': 7, 'x': 1.5, 'code': b'\\x01', 'name': b'a\\xff'}
    """
    return {column: sqlite_value_from_json(value) for column, value in row.items()}


def sqlite_value_from_json(value: AttributeValue) -> SqliteValue:
    """The value that `sqlite_value_json` wrote."""
    match value:
        case {"S": str(text)}:
            return text
        case {"N": str(number)}:
            return int(number) if number.lstrip("-").isdigit() else float(number)
        case {"B": str(encoded)}:
            return base64.b64decode(encoded)
        case {"hex": str(digits)}:
            return InvalidText(bytes.fromhex(digits))
        case _:
            return None


def attributes_json(attributes: Attributes) -> dict[str, Any]:
    """An item as DynamoDB JSON: what boto3 takes as bytes stands there as base64.

    >>> attributes_json({"id": {"S": "a"}, "parts": {"L": [{"B": b"\\x01"}]}, "tags": {"BS": [b"\\x02"]}})
    {'id': {'S': 'a'}, 'parts': {'L': [{'B': 'AQ=='}]}, 'tags': {'BS': ['Ag==']}}
    """
    return {name: attribute_json(value) for name, value in attributes.items()}


def attribute_json(value: AttributeValue) -> dict[str, Any]:
    match value:
        case {"M": nested}:
            return {"M": attributes_json(nested)}
        case {"L": nested}:
            return {"L": [attribute_json(element) for element in nested]}
        case {"B": raw} if not isinstance(raw, str):
            return {"B": _base64(bytes(raw))}
        case {"BS": raws}:
            return {"BS": [_base64(bytes(raw)) for raw in raws]}
        case _:
            return {kind: sorted(content) if isinstance(content, set) else content for kind, content in value.items()}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


# Readers that split lines by Unicode's rules would tear a line at these.
_LINE_BREAKS = {ord(c): f"\\u{ord(c):04x}" for c in "\u0085\u2028\u2029"}


def to_line(record: Mapping[str, Any]) -> bytes:
    r"""One line of JSON, readable where it can be.

    >>> to_line({"a": "é\u2028\0"})
    b'{"a": "\xc3\xa9\\u2028\\u0000"}\n'
    """
    try:
        text = json.dumps(record, ensure_ascii=False).translate(_LINE_BREAKS)
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, from JSON in the source
        return json.dumps(record).encode("ascii") + b"\n"


class LineFile:
    """A file of JSON lines that is only ever extended.

    `keep_bytes` cuts what a run that was cut off wrote after its last checkpoint; None keeps all there is.
    """

    def __init__(self, path: str | Path, keep_bytes: int | None = None) -> None:
        self.path = Path(path).absolute()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        found = os.fstat(self._descriptor).st_size
        self.size_bytes = found if keep_bytes is None else min(found, keep_bytes)
        os.ftruncate(self._descriptor, self.size_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, lines: Iterable[Line]) -> int:
        """Write one segment's lines, whole and on disk. Returns the size to record in the checkpoint."""
        data = b"".join(to_line(line.to_json()) for line in lines)
        if not data:
            return self.size_bytes
        try:
            self._write(data)
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, self.size_bytes)
            raise self._unwritable(error) from error
        self.size_bytes += len(data)
        return self.size_bytes

    def _write(self, data: bytes) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], self.size_bytes + done)

    def _unwritable(self, error: OSError) -> StoppedError:
        return StoppedError(
            f"{self.path}: cannot be written: {error.strerror}\n  Make room or give access, and run again to go on.",
            code="state_unwritable",
            retryable=True,
        )


class RejectFile(LineFile):
    def append(self, lines: Iterable[RejectLine]) -> int:
        return self._append(lines)


class FailedFile(LineFile):
    def append(self, lines: Iterable[FailedLine]) -> int:
        return self._append(lines)
