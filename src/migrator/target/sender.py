"""What sends requests, as seen by who has some to send: `target.transport`, or what a test scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol


class Reply(NamedTuple):
    """The answer to one request: a document, or the error that botocore would raise."""

    latency_ms: float = 0.0
    document: Mapping[str, Any] = MappingProxyType({})
    error: Exception | None = None


OnReply = Callable[[Reply], None]


class Sender(Protocol):
    """For one thread; nothing of it waits but `poll`."""

    @property
    def free(self) -> int:
        """How many more requests may be under way."""

    def submit(self, operation: str, body: bytes, on_reply: OnReply) -> None:
        """Send; needs a free place. The reply comes during a later `poll`."""

    def poll(self, timeout_s: float) -> None:
        """Hand out the replies that came in; where there are none, wait for some for so long."""
