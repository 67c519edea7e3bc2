"""What the embedded DynamoDB reads, sorted once: moto sorts the whole table for each Query and each page of a Scan.

A verification asks some hundred questions, which took minutes of a table of 20 000 items. What moto does with items
stays its own; it is only given them sorted, and for a Query those alone that it would pick out by their partition key.
That holds until something is written, which the server tells. Only the server process imports this module.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

_moto_query: Callable[..., Any] = Table.query
_ARGUMENTS = inspect.signature(_moto_query)


class Writes:
    """Requests that may change something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._under_way = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        with self._lock:
            self._begun += 1
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def lull(self) -> int | None:
        """A name for the time since the last write; None during one."""
        with self._lock:
            return None if self._under_way else self._begun


class _Lists:
    """A table's items as moto sorts them, and of a partition of the table or an index."""

    def __init__(self, table: Table, lull: int | None) -> None:
        self.lull = lull
        self.items = sorted(iter_items(table), key=_sort_key)
        self._partitions: dict[str, dict[DynamoType, list[Item]]] = {}

    def partition(self, attribute: str, value: DynamoType) -> list[Item]:
        if attribute not in self._partitions:
            partitions: dict[DynamoType, list[Item]] = {}
            for item in self.items:
                if attribute in item.attrs:
                    partitions.setdefault(item.attrs[attribute], []).append(item)
            self._partitions[attribute] = partitions
        return self._partitions[attribute].get(value, [])


class _Wanted(threading.local):
    """The partition that this thread's Query asks for: attribute and value."""

    key: tuple[str, DynamoType] | None = None


def quick_reads(writes: Writes) -> dict[str, Callable[..., Any]]:
    """Methods of moto's Table to put in the place of its own, by their names."""
    lists: WeakKeyDictionary[Table, _Lists] = WeakKeyDictionary()
    wanted = _Wanted()

    def all_items(table: Table) -> list[Item]:
        lull = writes.lull()
        known = lists.get(table)
        if known is None or lull is None or known.lull != lull:
            known = _Lists(table, lull)
            if lull is not None:
                lists[table] = known
        return list(known.items) if wanted.key is None else known.partition(*wanted.key)

    def query(table: Table, *given: Any, **named: Any) -> Any:
        wanted.key = _asked_for(table, _ARGUMENTS.bind(table, *given, **named).arguments)
        try:
            return _moto_query(table, *given, **named)
        finally:
            wanted.key = None

    return {"all_items": all_items, "query": query}


def _asked_for(table: Table, arguments: dict[str, Any]) -> tuple[str, DynamoType] | None:
    conditions: Sequence[tuple[str, DynamoType]] = arguments.get("hash_key_conditions") or ()
    if arguments.get("index_name"):
        return conditions[0] if conditions else None
    hash_key = arguments["hash_key"]
    return None if hash_key is None else (table.hash_key_attr, hash_key)


def iter_items(table: Table) -> Iterator[Item]:
    """All of them, in no order."""
    for found in table.items.values():
        if table.has_range_key:
            yield from found.values()
        else:
            yield found  # type: ignore[misc]  # moto nests by sort key only where there is one


def _sort_key(item: Item) -> tuple[Any, ...]:
    return (item.hash_key.cast_value, item.range_key.cast_value if item.range_key else None)
