"""The strict door: an HTTP proxy in front of a DynamoDB engine that is as strict as the service.

It refuses what `door_rules` knows the service to refuse, counts what is asked and how often each key is written, and
lets `door_faults` stand in front of everything. It knows nothing of migrator: what it says is said from outside.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from door_rules import REQUEST_BYTES, Table, canonical_key, check_request
from door_values import SERIALIZATION, Refused

API = "DynamoDB_20120810."
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "upgrade",
    "date",
    "server",
}
ENGINE_TIMEOUT_S = 60
QUIET_S = 0.3


class Dropped(Exception):
    """Close the connection without an answer."""


@dataclass(frozen=True)
class Request:
    """One call of the API as it came in."""

    operation: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @cached_property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")  # type: ignore[no-any-return]

    def with_document(self, document: Mapping[str, Any]) -> Request:
        return replace(self, body=json.dumps(document).encode())


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    crc32: int | None = None  #: to say, where it is not the body's own
    is_cut: bool = False  #: the connection is closed in the middle of the body

    @staticmethod
    def of(document: Mapping[str, Any], status: int = 200) -> Reply:
        return Reply(status, json.dumps(document).encode())

    @staticmethod
    def error(kind: str, message: str, status: int = 400) -> Reply:
        return Reply.of({"__type": kind, "message": message}, status)

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Refusal:
    """What the service would not have taken."""

    operation: str
    rule: str
    message: str


Forward = Callable[[Request], Reply]
#: Stands in front: answers by itself, changes the request or the reply, or hands on to `forward`.
Fault = Callable[[Request, Forward], Reply]
#: (table, its key as `canonical_key` gives it)
WrittenKey = tuple[str, tuple[tuple[str, str, Any], ...]]


class Traffic(NamedTuple):
    under_way: int
    taken_in: int


class Door:
    """A proxy in front of `engine_url`. Use it as a context, or `start()` and `stop()` it.

    `requests` counts what came in by operation, `refused` lists what a rule held back, `writes` and `deletes` count
    how often the engine took a put or a delete of a key. The first of `faults` meets a request first, but those whose
    bodies are torn: the next `torn_bodies` batches of writes are reset before they have come in.
    With `credentials` (botocore's) requests are signed anew, for an engine that checks signatures.
    """

    def __init__(self, engine_url: str, credentials: Any = None) -> None:
        self.engine_url = engine_url
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        self.refused: list[Refusal] = []
        self.writes: Counter[WrittenKey] = Counter()
        self.deletes: Counter[WrittenKey] = Counter()
        self.torn_bodies = 0
        self._under_way = 0
        self._credentials = credentials
        self._engine: Forward = self._send
        self._tables: dict[str, Table] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> str:
        self._thread.start()
        return self.url

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Door:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def reset(self) -> None:
        """Forget what was counted and take the faults away."""
        with self._lock:
            self.faults.clear()
            self.refused.clear()
            for counter in (self.requests, self.writes, self.deletes):
                counter.clear()

    def await_quiet(self) -> None:
        """Until nothing is under way and nothing comes any more, of a client that was killed for instance."""
        before = None
        while (now := self._traffic()) != before or now.under_way:
            before = now
            time.sleep(QUIET_S)

    def _traffic(self) -> Traffic:
        with self._lock:
            return Traffic(self._under_way, self.requests.total())

    def keeps(self, settings: Fault) -> None:
        """Let `settings` (of `door_keeps`) answer in the engine's place: behind the rules, and behind all faults."""
        self._engine = _behind(settings, self._send)

    # ---- one request

    @contextmanager
    def taking_in(self) -> Iterator[None]:
        """A request, from its head on until it is answered."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests[request.operation] += 1
        forward: Forward = self._pass_rules
        for fault in reversed(self.faults):
            forward = _behind(fault, forward)
        return forward(request)

    def tears(self, operation: str) -> bool:
        """Whether the body that is coming in is to be torn."""
        with self._lock:
            torn = operation == "BatchWriteItem" and self.torn_bodies > 0
            self.torn_bodies -= torn
            return torn

    def _pass_rules(self, request: Request) -> Reply:
        try:
            self._check(request)
        except Refused as refused:
            with self._lock:
                self.refused.append(Refusal(request.operation, refused.rule, refused.message))
            if refused.status == 413:
                return Reply(413, b"")
            return Reply.error(refused.kind, refused.message, refused.status)
        reply = self._engine(request)
        if reply.status == 200:
            self._note(request, reply)
        return reply

    def _check(self, request: Request) -> None:
        # API BatchWriteItem; a larger request gets a bare 413 before anyone parses it.
        if len(request.body) > REQUEST_BYTES:
            raise Refused("request_size", "the request is larger than 16 MB", status=413)
        try:
            document = request.document
        except ValueError as error:  # neither JSON nor UTF-8
            raise Refused("json", "the body is not JSON", SERIALIZATION) from error
        try:
            check_request(request.operation, document, lambda name: self._find_table(name, request))
        except (KeyError, TypeError, AttributeError) as error:  # the rules take a request's shape for granted
            raise Refused("shape", f"a parameter is missing or of another type: {error!r}") from error

    def _find_table(self, name: str, request: Request) -> Table | None:
        if name not in self._tables:
            reply = self._send(Request("DescribeTable", request.headers, json.dumps({"TableName": name}).encode()))
            if reply.status != 200:
                return None
            self._tables[name] = Table.from_description(reply.document["Table"])
        return self._tables[name]

    def _send(self, request: Request) -> Reply:
        address = urlsplit(self.engine_url)
        connect = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["X-Amz-Target"] = API + request.operation
        if self._credentials:
            headers = self._signed(request, headers)
        with closing(connect(address.hostname or "", address.port, timeout=ENGINE_TIMEOUT_S)) as connection:
            connection.request("POST", address.path or "/", request.body, headers)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
            return Reply(response.status, response.read(), kept)

    def _signed(self, request: Request, headers: Mapping[str, str]) -> dict[str, str]:
        # Credential=KEY/DATE/REGION/SERVICE/aws4_request
        region = headers.get("Authorization", "///").split("/")[2]
        unsigned = {name: headers[name] for name in ("X-Amz-Target", "Content-Type") if name in headers}
        signed = AWSRequest("POST", self.engine_url, unsigned, request.body)
        SigV4Auth(self._credentials, "dynamodb", region).add_auth(signed)
        return dict(signed.headers)

    # ---- what was written

    def _note(self, request: Request, reply: Reply) -> None:
        if request.operation in {"CreateTable", "UpdateTable", "DeleteTable"}:
            self._tables.pop(request.document["TableName"], None)
        for kind, name, attributes in _written(request, reply):
            table = self._find_table(name, request)
            if table:
                with self._lock:
                    counter = self.deletes if kind == "Delete" else self.writes
                    counter[name, canonical_key(attributes, table)] += 1


def _behind(fault: Fault, forward: Forward) -> Forward:
    return lambda request: fault(request, forward)


def _written(request: Request, reply: Reply) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Give (Put or Delete, table, item or key) for each write that the engine took."""
    document = request.document
    match request.operation:
        case "PutItem":
            return [("Put", document["TableName"], document["Item"])]
        case "UpdateItem":
            return [("Put", document["TableName"], document["Key"])]
        case "DeleteItem":
            return [("Delete", document["TableName"], document["Key"])]
        case "TransactWriteItems":
            return [
                (kind, action["TableName"], action.get("Item") or action["Key"])
                for entry in document["TransactItems"]
                for kind, action in entry.items()
                if kind != "ConditionCheck"
            ]
        case "BatchWriteItem":
            unprocessed = reply.document.get("UnprocessedItems", {})
            return [
                ("Put", name, write["PutRequest"]["Item"])
                if "PutRequest" in write
                else ("Delete", name, write["DeleteRequest"]["Key"])
                for name, batch in document["RequestItems"].items()
                for write in batch
                if write not in unprocessed.get(name, [])
            ]
    return []


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, door: Door) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.door = door

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        with self.server.door.taking_in():
            self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if self.server.door.tears(operation):
            self._reset_after(length // 2)
            return
        body = self.rfile.read(length)
        try:
            reply = self.server.door.answer(Request(operation, dict(self.headers.items()), body))
        except Dropped:
            self.close_connection = True
            return
        except (OSError, http.client.HTTPException) as error:
            reply = Reply.error("InternalServerError", f"the engine does not answer: {error!r}", 500)
        self._write(reply)

    def _write(self, reply: Reply) -> None:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            **{name: value for name, value in reply.headers.items() if name.lower() != "x-amz-crc32"},
            "x-amz-crc32": str(zlib.crc32(reply.body) if reply.crc32 is None else reply.crc32),
            "Content-Length": str(len(reply.body)),
        }
        self.send_response_only(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.is_cut else reply.body)
        self.close_connection |= reply.is_cut

    def _reset_after(self, length: int) -> None:
        self.rfile.read(length)
        # socket(7), SO_LINGER: on, and 0 seconds: closing sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
