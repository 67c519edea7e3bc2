"""Delete all items of a table, a page at a time, and look afterwards whether nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from migrator.errors import TargetError
from migrator.limits import BATCH_ITEMS
from migrator.mapping.model import Attributes, TableDefinition
from migrator.target.backoff import REAL_TIME, Patience, RetryPolicy, Timing, ask, never, pause
from migrator.target.faults import Verdict
from migrator.target.paced import Turns
from migrator.target.reading import iter_pages, keys_only, side_by_side
from migrator.target.tablecheck import fatal_differences, mismatch_error
from migrator.target.tablefound import describe

SEGMENTS = 4
#: One deleted item of up to 1 KB, without the indexes that it was in: what it really took, nobody asks.
DELETE_UNITS = 1


def require_clearable(client: Any, table: TableDefinition, *, timing: Timing = REAL_TIME) -> None:
    """Raises TargetError for a table that is missing, another than the mapping's, or protected from deletion."""
    description = describe(client, table.name, timing=timing)
    differences = fatal_differences(table, description)
    if description is None or differences:
        raise mismatch_error(table, differences)
    if description.get("DeletionProtectionEnabled"):
        raise TargetError(
            f"table {table.name} is protected: its deletion_protection is on\n"
            "  Nothing was deleted. Switch the protection off in the console if its items are really to go.",
            code="deletion_protected",
        )


def delete_items(
    client: Any,
    table: TableDefinition,
    policy: RetryPolicy,
    turns: Turns,
    progress: Callable[[int], object] | None = None,
    *,
    timing: Timing = REAL_TIME,
) -> int:
    """Delete what a parallel scan meets; how many items. Holds one page of keys for each segment."""
    deleted = 0
    segments = (_clear_segment(client, table, number, policy, turns, timing) for number in range(SEGMENTS))
    for count in side_by_side(segments):
        deleted += count
        if progress:
            progress(count)
    return deleted


def count_items(client: Any, table: TableDefinition, policy: RetryPolicy, *, timing: Timing = REAL_TIME) -> int:
    """What is in the table now, counted one by one: the description's count is hours old."""
    asking = partial(ask, policy=policy, timing=timing)
    return sum(int(page["Count"]) for page in iter_pages(client, table.name, asking, Select="COUNT"))


def _clear_segment(
    client: Any, table: TableDefinition, number: int, policy: RetryPolicy, turns: Turns, timing: Timing
) -> Iterator[int]:
    asking = partial(ask, policy=policy, timing=timing)
    for page in iter_pages(client, table.name, asking, Segment=number, TotalSegments=SEGMENTS, **keys_only(table)):
        keys = page["Items"]
        for start in range(0, len(keys), BATCH_ITEMS):
            batch = keys[start : start + BATCH_ITEMS]
            turns.take(DELETE_UNITS * len(batch))
            delete_batch(client, table, batch, policy, timing=timing)
        yield len(keys)


def delete_batch(
    client: Any,
    table: TableDefinition,
    keys: Sequence[Attributes],
    policy: RetryPolicy,
    *,
    timing: Timing = REAL_TIME,
    stop: Callable[[], bool] = never,
) -> None:
    """Delete these keys, 25 at most; what comes back unprocessed is sent again, more and more slowly, until a stop."""
    pending = [{"DeleteRequest": {"Key": key}} for key in keys]
    patience = Patience(policy, timing.clock)
    doing = f'delete items of table "{table.name}"'
    while True:
        request = {table.name: pending}
        send = partial(client.batch_write_item, RequestItems=request)
        answer = ask(send, doing, policy=policy, timing=timing, stop=stop)
        left = answer.get("UnprocessedItems", {}).get(table.name, [])
        if not left:
            return
        if len(left) < len(pending):
            patience.progressed()
        pending = left
        delay_s = patience.delay_s(Verdict.THROTTLED)
        if delay_s is None:
            raise TargetError(
                f"{doing}: items stay unprocessed\n  give the table more capacity, then run the same command again",
                code="throttled",
                retryable=True,
            )
        if not pause(delay_s, timing, stop):
            return
