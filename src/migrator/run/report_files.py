"""A report's source files: what became of each, for a program all of them, for a person those that matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from migrator.run.aligned import aligned
from migrator.run.setaside import SetAside, bounded

#: What is counted of a file.
COUNTED = ("read", "items", "written", "rejected", "failed")
#: Of many files, so many are told one by one.
_LARGEST = 10


class FileResult(Struct, frozen=True):
    path: str
    snapshot: str | None = None  #: what names the state that was read
    etag: str = ""  #: of an object in S3
    entities: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  #: what is counted, by entity
    error: SetAside | None = None  #: it was left out, and why

    def count(self, name: str) -> int:
        return int(sum(counts.get(name, 0) for counts in self.entities.values()))

    def to_json(self, *, by_entity: bool) -> dict[str, Any]:
        return {
            "path": self.path,
            "snapshot": self.snapshot,
            **({"etag": self.etag} if self.etag else {}),
            **{name: self.count(name) for name in COUNTED},
            **({"entities": [_entity_json(*each) for each in self.entities.items()]} if by_entity else {}),
            "error": {"code": self.error.code, "message": self.error.message} if self.error else None,
        }


def _entity_json(name: str, counts: Mapping[str, float]) -> dict[str, Any]:
    return {"entity": name, **{each: int(counts.get(each, 0)) for each in COUNTED}}


def files_json(files: Sequence[FileResult]) -> list[dict[str, Any]]:
    return [file.to_json(by_entity=len(files) > 1) for file in files]


def file_lines(files: Sequence[FileResult], schemas: Sequence[str]) -> Iterator[str]:
    """For a person: how many files, those that left something, the largest; nothing of one file alone."""
    if len(files) < 2:
        return
    left_out = [file.error for file in files if file.error]
    incomplete = [file for file in files if file.count("rejected") or file.count("failed")]
    yield f"source files: {len(files)}; {len(left_out)} set aside, {len(incomplete)} with rejects or failed items"
    yield from (f"  set aside: {line}" for line in bounded([each.line for each in left_out]))
    yield from (f"  {line}" for line in schemas)
    told = sorted(incomplete, key=_left, reverse=True)[:_LARGEST]
    largest = sorted((file for file in files if not file.error), key=lambda file: file.count("items"), reverse=True)
    told += [file for file in largest[:_LARGEST] if file not in told]
    if told:
        more = ", the largest" if len(told) < len(files) - len(left_out) else ""
        yield from aligned([[f"file{more}", *COUNTED], *(_row(file) for file in told)])
    yield ""


def _left(file: FileResult) -> int:
    return file.count("rejected") + file.count("failed")


def _row(file: FileResult) -> list[str]:
    return [file.path, *(str(file.count(name)) for name in COUNTED)]
