"""What a table holds, as digests: all of it by a parallel scan, or some items by their keys.

Reads are strongly consistent: a verification right after a run must see what the run wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from migrator.mapping.canonical import digest, key_from_text, key_text
from migrator.mapping.model import Attributes, TableDefinition
from migrator.target.reading import Ask, iter_pages, side_by_side

__all__ = ["Ask", "Found", "get_items", "scan_in_parallel", "scan_table"]

#: key text and digest
Found = tuple[str, bytes]

#: "BatchGetItem" — API reference: up to 100 items
BATCH_GET_KEYS = 100


def scan_table(
    client: Any, definition: TableDefinition, segment: int, total_segments: int, ask: Ask
) -> Iterator[list[Found]]:
    """One segment of a parallel scan, a page (up to 1 MB) at a time."""
    for page in iter_pages(client, definition.name, ask, Segment=segment, TotalSegments=total_segments):
        yield [(key_text(item, definition), digest(item)) for item in page["Items"]]


def scan_in_parallel(client: Any, definition: TableDefinition, segments: int, ask: Ask) -> Iterator[list[Found]]:
    """Pages of the whole table as they come; at most one page a segment waits."""
    return side_by_side(scan_table(client, definition, number, segments, ask) for number in range(segments))


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
