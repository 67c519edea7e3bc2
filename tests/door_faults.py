"""Faults for the strict door: what a service under load, a failing one and a bad network do.

Each function gives a fault to append to `door.faults`. It hits the first `times` requests of its operations and is
then gone; `times=None` never ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from door import Dropped, Fault, Forward, Reply, Request

WRITES = ("BatchWriteItem", "PutItem", "TransactWriteItems")
THROTTLED = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
EXPIRED = "com.amazon.coral.service#ExpiredTokenException"
DENIED = "com.amazon.coral.service#AccessDeniedException"
INTERNAL = "com.amazonaws.dynamodb.v20120810#InternalServerError"
#: How the names of operations begin that change nothing; PartiQL's, which may do either, are not among them.
READING = ("BatchGet", "Describe", "Get", "List", "Query", "Scan", "TransactGet")


def throttle(times: int | None, operations: Collection[str] = WRITES, kind: str = THROTTLED) -> Fault:
    """Refuse for want of capacity. Pages: "Error handling with DynamoDB", API BatchWriteItem."""
    message = "The level of configured provisioned throughput for the table was exceeded."
    return _limited(times, operations, lambda request, forward: Reply.error(kind, message))


def deny(times: int | None, operations: Collection[str] = WRITES, kind: str = DENIED) -> Fault:
    """Refuse for want of a right, or with `kind=EXPIRED` for credentials whose time is over."""
    return _limited(times, operations, lambda request, forward: Reply.error(kind, "not authorized"))


def refuse_writes(request: Request, forward: Forward) -> Reply:
    """Take what reads and refuse the rest, to the end. It is a fault itself, for it has nothing to choose."""
    if request.operation.startswith(READING):
        return forward(request)
    return Reply.error(DENIED, f"{request.operation} is refused: this door only lets reads through")


def server_error(times: int | None, operations: Collection[str] = WRITES, status: int = 500) -> Fault:
    """Fail before anything is written."""
    return _limited(times, operations, lambda request, forward: Reply.error(INTERNAL, "internal", status))


def delay(seconds: float, times: int | None = None, operations: Collection[str] = WRITES) -> Fault:
    """Answer late."""

    def wait(request: Request, forward: Forward) -> Reply:
        time.sleep(seconds)
        return forward(request)

    return _limited(times, operations, wait)


def drop_before(times: int | None, operations: Collection[str] = WRITES) -> Fault:
    """Close the connection; nothing is written."""

    def drop(request: Request, forward: Forward) -> Reply:
        raise Dropped

    return _limited(times, operations, drop)


def drop_after(times: int | None, operations: Collection[str] = WRITES) -> Fault:
    """Write, then close the connection: the answer is lost."""

    def drop(request: Request, forward: Forward) -> Reply:
        forward(request)
        raise Dropped

    return _limited(times, operations, drop)


def leave_unprocessed(count: int, times: int | None = None) -> Fault:
    """Hand back the last `count` writes of a batch as unprocessed. Page: API BatchWriteItem, UnprocessedItems.

    A batch of no more than `count` is left as a whole.
    """

    def leave(request: Request, forward: Forward) -> Reply:
        writes = [(name, write) for name, batch in request.document["RequestItems"].items() for write in batch]
        taken, left = writes[: max(0, len(writes) - count)], writes[max(0, len(writes) - count) :]
        reply = Reply.of({"UnprocessedItems": {}})
        if taken:
            reply = forward(request.with_document({**request.document, "RequestItems": _by_table(taken)}))
        if reply.status != 200:
            return reply
        unprocessed = _by_table(left)
        for name, batch in reply.document.get("UnprocessedItems", {}).items():
            unprocessed.setdefault(name, []).extend(batch)
        return Reply.of({**reply.document, "UnprocessedItems": unprocessed})

    return _limited(times, ("BatchWriteItem",), leave)


def before_writes(*actions: Callable[[], object]) -> Fault:
    """Do one of the actions before each of the first writes. All other writes wait meanwhile."""
    lock = threading.Lock()
    left = iter(actions)

    def act(request: Request, forward: Forward) -> Reply:
        if request.operation in WRITES:
            with lock:
                next(left, lambda: None)()
        return forward(request)

    return act


def _by_table(writes: list[tuple[str, Any]]) -> dict[str, list[Any]]:
    tables: dict[str, list[Any]] = {}
    for name, write in writes:
        tables.setdefault(name, []).append(write)
    return tables


def _limited(times: int | None, operations: Collection[str], fault: Callable[[Request, Forward], Reply]) -> Fault:
    lock = threading.Lock()
    left = times

    def take() -> bool:
        nonlocal left
        with lock:
            if left is None:
                return True
            left = max(left, 0) - 1
            return left >= 0

    def hit(request: Request, forward: Forward) -> Reply:
        return (fault if request.operation in operations and take() else _pass)(request, forward)

    return hit


def _pass(request: Request, forward: Forward) -> Reply:
    return forward(request)
