"""What a table holds, read page by page, from several segments at once.

Reads are strongly consistent: whoever looks right after a run must see what the run wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from migrator.mapping.model import TableDefinition

#: `target.backoff.ask`, or one with a policy of its own: (request to make, what it is for) -> answer
Ask = Callable[[Callable[[], Any], str], Any]
Page = TypeVar("Page")


def iter_pages(client: Any, table: str, ask: Ask, **parameters: Any) -> Iterator[dict[str, Any]]:
    """The answers of a Scan to its end, each of up to 1 MB; `parameters` go with every request."""
    request = {"TableName": table, "ConsistentRead": True, **parameters}
    while True:
        page = ask(partial(client.scan, **request), f"scanning table {table}")
        yield page
        if not page.get("LastEvaluatedKey"):
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def keys_only(table: TableDefinition) -> dict[str, Any]:
    """Parameters by which a Scan gives the keys and nothing else. Any name may be a reserved word, so all stand aside.

    >>> from migrator.mapping.model import KeyAttribute
    >>> keys_only(TableDefinition("orders", KeyAttribute("id")))
    {'ProjectionExpression': '#k0', 'ExpressionAttributeNames': {'#k0': 'id'}}
    """
    names = {f"#k{number}": key.name for number, key in enumerate(table.key_attributes)}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}


def side_by_side(streams: Iterable[Iterator[Page]]) -> Iterator[Page]:
    """What several streams give, as it comes, each in a thread of its own; at most one page a stream waits."""
    waiting_streams = list(streams)
    with ThreadPoolExecutor(max(1, len(waiting_streams))) as threads:
        waiting = {threads.submit(next, stream, None): stream for stream in waiting_streams}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                stream, page = waiting.pop(future), future.result()
                if page is not None:
                    waiting[threads.submit(next, stream, None)] = stream
                    yield page
