"""Requests on their way: many at once over kept-alive connections, from one thread that never waits for one of them.

Each is tried once: retrying belongs to `target.backoff`. benchmarks/README.md has what else was measured.
"""

from __future__ import annotations

import selectors
import time
import weakref
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ConnectTimeoutError, ReadTimeoutError
from msgspec import Struct

from migrator import __version__
from migrator.target.answer import Answer, read_answer
from migrator.target.connection import Connection
from migrator.target.connector import Connector
from migrator.target.endpoint import Endpoint
from migrator.target.faults import CLIENT_ERRORS
from migrator.target.sender import OnReply, Reply
from migrator.target.sigv4 import Signer

# The whole exchange may take the two timeouts, and what its body needs at this slow a pace.
_SLOWEST_BYTES_PER_S = 128_000
_LOOK_FOR_LATE_S = 0.1


class _Exchange(Struct, eq=False):
    """A request and who waits for its answer. Times are of time.monotonic()."""

    operation: str
    head: bytes
    body: bytes
    on_reply: OnReply
    begun: float
    late: float


class Transport:
    """Sends to one endpoint, with credentials that botocore keeps fresh. For one thread."""

    def __init__(self, endpoint: Endpoint, credentials: Any) -> None:
        self._endpoint = endpoint
        self._signer = Signer(credentials, endpoint.region, endpoint.host, endpoint.path)
        self._request_line, self._last_lines = _lines(endpoint)
        self._timeout_s = endpoint.connect_timeout_s + endpoint.read_timeout_s
        self._signed: list[_Exchange] = []  # on their way with the next poll
        self._connecting: set[_Exchange] = set()
        self._busy: dict[Connection, _Exchange] = {}
        self._idle: list[Connection] = []
        self._unsendable: list[tuple[OnReply, Exception]] = []
        self._look_for_late = 0.0
        self._selector = selectors.DefaultSelector()
        self._connector = Connector[_Exchange](endpoint)
        self._selector.register(self._connector, selectors.EVENT_READ)
        weakref.finalize(self, _close, self._selector)

    @property
    def free(self) -> int:
        return self._endpoint.connections - len(self._signed) - len(self._connecting) - len(self._busy)

    def submit(self, operation: str, body: bytes, on_reply: OnReply) -> None:
        """Sign a request, for `poll` to send: some at once, since each call into the kernel costs Python its caches."""
        try:
            headers = self._signer.headers(operation, body)
        except CLIENT_ERRORS as error:  # credentials that could not be refreshed
            self._unsendable.append((on_reply, error))
            return
        head = "\r\n".join((self._request_line, *headers, f"Content-Length: {len(body)}", self._last_lines))
        begun = time.monotonic()
        late = begun + self._timeout_s + len(body) / _SLOWEST_BYTES_PER_S
        self._signed.append(_Exchange(operation, head.encode("latin-1"), body, on_reply, begun, late))

    def poll(self, timeout_s: float) -> None:
        self._send_signed()
        ended: list[tuple[Connection, Answer | BotoCoreError]] = []
        for key, events in self._selector.select(0.0 if self._unsendable else timeout_s):
            if not isinstance(key.fileobj, Connection):
                self._take_connections()
            elif outcome := self._attend(key.fileobj, events):
                ended.append((key.fileobj, outcome))
        for connection, outcome in ended:
            self._end(connection, outcome)
        self._end_late()
        unsendable, self._unsendable = self._unsendable, []
        for on_reply, error in unsendable:
            on_reply(Reply(error=error))

    def _send_signed(self) -> None:
        signed, self._signed = self._signed, []
        for exchange in signed:
            if connection := self._idle_connection():
                self._begin(exchange, connection)
            else:
                self._connecting.add(exchange)
                self._connector.start(exchange)

    # ---- connections

    def _idle_connection(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            self._drop(connection)
        return None

    def _take_connections(self) -> None:
        for exchange, made in self._connector.take():
            if isinstance(made, Exception) and not isinstance(made, BotoCoreError):
                raise made
            if exchange not in self._connecting:  # it was too late
                if not isinstance(made, Exception):
                    made.close()
                continue
            self._connecting.remove(exchange)
            if isinstance(made, Exception):
                self._reply(exchange, made)
            else:
                connection = Connection(made, self._endpoint.url)
                self._selector.register(connection, selectors.EVENT_READ)
                self._begin(exchange, connection)

    def _begin(self, exchange: _Exchange, connection: Connection) -> None:
        self._busy[connection] = exchange
        if not connection.begin(exchange.head, exchange.body):
            self._selector.modify(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _attend(self, connection: Connection, events: int) -> Answer | BotoCoreError | None:
        """How its exchange ended, if it did."""
        if connection not in self._busy:
            if connection in self._idle and connection.is_gone():
                self._idle.remove(connection)
                self._drop(connection)
            return None
        try:
            if events & selectors.EVENT_WRITE and connection.send():
                self._selector.modify(connection, selectors.EVENT_READ)
            return connection.receive()
        except BotoCoreError as error:
            return error

    def _drop(self, connection: Connection) -> None:
        self._selector.unregister(connection)
        connection.close()

    # ---- the end of an exchange

    def _end_late(self) -> None:
        now = time.monotonic()
        if now < self._look_for_late:
            return
        self._look_for_late = now + _LOOK_FOR_LATE_S
        url = self._endpoint.url
        for connection in [connection for connection, exchange in self._busy.items() if exchange.late < now]:
            self._end(connection, ReadTimeoutError(endpoint_url=url))
        for exchange in [exchange for exchange in self._connecting if exchange.late < now]:
            self._connecting.remove(exchange)
            self._reply(exchange, ConnectTimeoutError(endpoint_url=url))

    def _end(self, connection: Connection, outcome: Answer | BotoCoreError) -> None:
        exchange = self._busy.pop(connection)
        if isinstance(outcome, Answer) and connection.is_reusable:
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._reply(exchange, outcome)

    def _reply(self, exchange: _Exchange, outcome: Answer | BotoCoreError) -> None:
        latency_ms = (time.monotonic() - exchange.begun) * 1_000
        exchange.on_reply(_read(exchange.operation, outcome, latency_ms))


def _read(operation: str, outcome: Answer | BotoCoreError, latency_ms: float) -> Reply:
    if isinstance(outcome, BotoCoreError):
        return Reply(latency_ms, error=outcome)
    try:
        return Reply(latency_ms, read_answer(operation, outcome))
    except CLIENT_ERRORS as error:
        return Reply(latency_ms, error=error)


def _lines(endpoint: Endpoint) -> tuple[str, str]:
    """The first line of each request, and its last ones. A proxy for http is asked for the whole address."""
    last = [f"User-Agent: migrator/{__version__}"]
    target = endpoint.path
    if endpoint.proxy and urlsplit(endpoint.url).scheme == "http":
        target = f"http://{endpoint.host}{target}"
        last += [f"{name}: {value}" for name, value in endpoint.proxy_headers.items()]
    return f"POST {target} HTTP/1.1", "\r\n".join([*last, "", ""])


def _close(selector: selectors.BaseSelector) -> None:
    for key in selector.get_map().values():
        if isinstance(key.fileobj, Connection | Connector):  # nothing else is registered
            key.fileobj.close()
    selector.close()
