from __future__ import annotations

from collections.abc import Callable
from typing import Any

from migrator.mapping.canonical import digest, key_text
from migrator.mapping.model import Attributes, KeyAttribute, TableDefinition
from migrator.run.scan import get_items, scan_in_parallel, scan_table

TABLE = TableDefinition("t", KeyAttribute("PK"))


def item(name: str) -> Attributes:
    return {"PK": {"S": name}, "n": {"N": "1"}}


def ask(call: Callable[[], Any], doing: str) -> Any:
    return call()


class ScriptedClient:
    """Two pages a segment; BatchGetItem leaves one key unprocessed each time."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def scan(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        segment = request["Segment"]
        if "ExclusiveStartKey" in request:
            return {"Items": [item(f"{segment}-last")]}
        return {"Items": [item(f"{segment}-first")], "LastEvaluatedKey": {"PK": {"S": f"{segment}-first"}}}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        keys = request["RequestItems"]["t"]["Keys"]
        done, left = (keys[:-1], keys[-1:]) if len(keys) > 1 else (keys, [])
        items = [item(key["PK"]["S"]) for key in done if key["PK"]["S"] != "absent"]
        unprocessed = {"t": {"Keys": left, "ConsistentRead": True}} if left else {}
        return {"Responses": {"t": items}, "UnprocessedKeys": unprocessed}


def test_a_scan_goes_on_from_page_to_page() -> None:
    client = ScriptedClient()
    pages = list(scan_table(client, TABLE, 0, 1, ask))
    expected = [({"PK": {"S": name}}, digest(item(name))) for name in ("0-first", "0-last")]
    assert [found for page in pages for found in zip(page.keys, page.digests, strict=True)] == expected


def test_a_scan_reads_consistently() -> None:
    client = ScriptedClient()
    list(scan_table(client, TABLE, 0, 1, ask))
    assert all(request["ConsistentRead"] for request in client.requests)


def test_a_parallel_scan_gives_every_page_of_every_segment_once() -> None:
    pages = scan_in_parallel(ScriptedClient(), TABLE, 3, ask, {})
    keys = sorted(key["PK"]["S"] for page in pages for key in page.keys)
    assert keys == sorted(f"{s}-{place}" for s in range(3) for place in ("first", "last"))


def test_a_parallel_scan_goes_on_after_what_was_read() -> None:
    client = ScriptedClient()
    pages = list(scan_in_parallel(client, TABLE, 3, ask, {0: None, 2: item("2-first")}))
    # Segment 0 was read to its end, 1 not at all, 2 to its first page.
    assert sorted(request["Segment"] for request in client.requests) == [1, 1, 2]
    assert sorted((page.segment, page.last is None) for page in pages) == [(1, False), (1, True), (2, True)]


def test_keys_left_unprocessed_are_asked_for_again_and_absent_ones_left_out() -> None:
    names = ["a", "absent", "b"]
    keys = [key_text(item(name), TABLE) for name in names]
    found = [pair for batch in get_items(ScriptedClient(), TABLE, keys, ask) for pair in batch]
    assert found == [(keys[0], item("a")), (keys[2], item("b"))]


def test_keys_are_asked_for_a_hundred_at_a_time() -> None:
    client = ScriptedClient()
    keys = [key_text(item(str(n)), TABLE) for n in range(250)]
    assert sum(len(batch) for batch in get_items(client, TABLE, keys, ask)) == 250
    assert max(len(request["RequestItems"]["t"]["Keys"]) for request in client.requests) == 100
