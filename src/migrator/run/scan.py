"""What a table holds, as digests: all of it by a parallel scan, or some items by their keys.

Reads are strongly consistent: a verification right after a run must see what the run wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct

from migrator.mapping.canonical import digest, key_from_text, key_text
from migrator.mapping.model import Attributes, TableDefinition
from migrator.target.reading import Ask, iter_pages, side_by_side

__all__ = ["Ask", "ScanPage", "get_items", "scan_in_parallel", "scan_table"]

#: "BatchGetItem" — API reference: up to 100 items
BATCH_GET_KEYS = 100


class ScanPage(Struct, frozen=True):
    """What a page (up to 1 MB) of a segment holds."""

    segment: int
    keys: list[Attributes]
    digests: list[bytes]  #: of the items with these keys
    last: Attributes | None  #: the key after which the segment goes on; None at its end


def scan_table(
    client: Any,
    definition: TableDefinition,
    segment: int,
    total_segments: int,
    ask: Ask,
    last: Attributes | None = None,
) -> Iterator[ScanPage]:
    """One segment of a parallel scan, a page at a time; from the start, or from the `last` key that was read."""
    place = {"Segment": segment, "TotalSegments": total_segments} | ({"ExclusiveStartKey": last} if last else {})
    names = [key.name for key in definition.key_attributes]
    for page in iter_pages(client, definition.name, ask, **place):
        items = page["Items"]
        keys = [{name: item[name] for name in names} for item in items]
        yield ScanPage(segment, keys, list(map(digest, items)), page.get("LastEvaluatedKey") or None)


def scan_in_parallel(
    client: Any, definition: TableDefinition, segments: int, ask: Ask, read: Mapping[int, Attributes | None]
) -> Iterator[ScanPage]:
    """Pages of the whole table as they come; at most one page a segment waits.

    `read` tells the last keys of segments that were begun before, None for those that were read to their end.
    """
    rest = (number for number in range(segments) if number not in read or read[number])
    return side_by_side(scan_table(client, definition, n, segments, ask, read.get(n)) for n in rest)


def get_items(
    client: Any, definition: TableDefinition, keys: Iterable[str], ask: Ask
) -> Iterator[list[tuple[str, Attributes]]]:
    """Items by the text of their keys, a batch at a time; keys that the table lacks are left out."""
    source = iter(keys)
    while batch := [key_from_text(key, definition) for key in islice(source, BATCH_GET_KEYS)]:
        yield list(_get_batch(client, definition, batch, ask))


def _get_batch(
    client: Any, definition: TableDefinition, keys: Sequence[Attributes], ask: Ask
) -> Iterator[tuple[str, Attributes]]:
    pending: dict[str, Any] = {definition.name: {"Keys": list(keys), "ConsistentRead": True}}
    while pending:
        answer = ask(partial(client.batch_get_item, RequestItems=pending), f"reading table {definition.name}")
        for item in answer["Responses"].get(definition.name, ()):
            yield key_text(item, definition), item
        pending = answer.get("UnprocessedKeys") or {}
