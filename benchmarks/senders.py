"""What one request costs, by sender: `python -m benchmarks.senders [REQUESTS]`.

The same body of 13 KB, 64 requests in flight, against the sink; nothing is signed but where botocore does it.
libcurl and awscrt are measured where they are installed. The choice and its reasons stand in README.md.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.session import Session

from benchmarks import sink
from migrator.target.endpoint import Endpoint
from migrator.target.sender import Reply
from migrator.target.transport import Transport

IN_FLIGHT = 64
ITEM = '{"PK":{"S":"%s"},"SK":{"S":"META"},"note":{"S":"' + "n" * 480 + '"}}'
BODY = (
    '{"RequestItems":{"bench":['
    + ",".join('{"PutRequest":{"Item":%s}}' % (ITEM % number) for number in range(25))
    + ']},"ReturnConsumedCapacity":"INDEXES"}'
).encode()
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
    "X-Amz-Date": "20261121T160000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=" + "x" * 200,
}


class Unsigned:
    """In place of the transport's signer."""

    def headers(self, operation: str, body: bytes) -> list[str]:
        return [f"{name}: {value}" for name, value in HEADERS.items()]


def own(url: str, count: int) -> None:
    """What migrator uses: checksum, JSON and errors included."""
    transport = Transport(Endpoint(url, "here", connections=IN_FLIGHT), None)
    transport._signer = Unsigned()  # type: ignore[assignment]
    done: list[Reply] = []
    sent = 0
    while len(done) < count:
        while transport.free and sent < count:
            transport.submit("BatchWriteItem", BODY, done.append)
            sent += 1
        transport.poll(1.0)
    assert not any(reply.error for reply in done)


def curl(url: str, count: int) -> None:
    """libcurl's multi interface."""
    import pycurl

    multi = pycurl.CurlMulti()
    received: dict[Any, list[bytes]] = {}
    headers = [*Unsigned().headers("BatchWriteItem", BODY), "Expect:", "Accept:"]
    left, busy = count, 0

    def begin(handle: Any) -> None:
        nonlocal left, busy
        if left:
            left, busy = left - 1, busy + 1
            received[handle].clear()
            handle.setopt(pycurl.HTTPHEADER, headers)
            handle.setopt(pycurl.POSTFIELDS, BODY)
            multi.add_handle(handle)

    for _ in range(IN_FLIGHT):
        handle = pycurl.Curl()
        received[handle] = []
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.WRITEFUNCTION, received[handle].append)
        begin(handle)
    while busy:
        multi.perform()
        more = 1
        while more:
            more, done, failed = multi.info_read()
            assert not failed
            for handle in done:
                multi.remove_handle(handle)
                busy -= 1
                json.loads(b"".join(received[handle]))
                begin(handle)
        multi.select(1.0)


def awscrt(url: str, count: int) -> None:
    """Amazon's C runtime: HTTP connections kept in hand, one event loop thread of its own."""
    from awscrt import http, io

    parts = urlsplit(url)
    bootstrap = io.ClientBootstrap(io.EventLoopGroup(1), io.DefaultHostResolver(io.EventLoopGroup(1)))
    connections = [
        http.HttpClientConnection.new(parts.hostname, parts.port, bootstrap).result() for _ in range(IN_FLIGHT)
    ]
    left, lock, finished = [count], threading.Lock(), threading.Event()
    fixed = [("Host", parts.netloc), *HEADERS.items(), ("Content-Length", str(len(BODY)))]

    def send(connection: Any) -> None:
        with lock:
            left[0] -= 1
            if left[0] < 0:
                if left[0] == -IN_FLIGHT:
                    finished.set()
                return
        request = http.HttpRequest("POST", "/", http.HttpHeaders(fixed), _stream())
        received = bytearray()
        stream = connection.request(request, None, lambda http_stream, chunk, **_: received.extend(chunk))
        stream.completion_future.add_done_callback(lambda _: send(connection))
        stream.activate()

    def _stream() -> Any:
        import io as stdio

        return stdio.BytesIO(BODY)

    for connection in connections:
        send(connection)
    finished.wait()


def asyncio_httptools(url: str, count: int) -> None:
    """A protocol of asyncio, answers parsed by httptools."""
    import httptools

    parts = urlsplit(url)
    fixed = {"Host": parts.netloc, **HEADERS, "Content-Length": str(len(BODY))}
    head = ("POST / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fixed.items()) + "\r\n").encode()
    left = count

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.done = asyncio.get_running_loop().create_future()
            self._send()

        def _send(self) -> None:
            nonlocal left
            if not left:
                self.done.set_result(None)
                return
            left -= 1
            self.headers: dict[bytes, bytes] = {}
            self.received = b""
            self.parser = httptools.HttpResponseParser(self)
            self.transport.writelines((head, BODY))

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers[name.lower()] = value

        def on_body(self, body: bytes) -> None:
            self.received += body

        def on_message_complete(self) -> None:
            json.loads(self.received)
            self._send()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(Connection, parts.hostname, parts.port) for _ in range(IN_FLIGHT)]
        await asyncio.gather(*(protocol.done for _, protocol in made))

    asyncio.run(run())


def botocore_hook(url: str, count: int) -> None:
    """botocore with the body swapped in by an event hook, eight threads: what migrator did before."""
    session = Session()
    session.set_credentials("x", "x")
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=IN_FLIGHT)
    client = session.create_client("dynamodb", "here", endpoint_url=url, config=config)
    stand_in = {"bench": [{"PutRequest": {"Item": {}}}]}
    client.meta.events.register("before-call.dynamodb.BatchWriteItem", lambda params, **_: params.update(body=BODY))
    with ThreadPoolExecutor(8) as threads:
        for answer in threads.map(lambda _: client.batch_write_item(RequestItems=stand_in), range(count)):
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


SENDERS: dict[str, tuple[Callable[[str, int], None], str | None]] = {
    "migrator: sockets, urllib3, httptools": (own, None),
    "libcurl (pycurl, multi)": (curl, "pycurl"),
    "awscrt": (awscrt, "awscrt"),
    "asyncio.Protocol + httptools": (asyncio_httptools, None),
    "botocore, body by a hook, 8 threads": (botocore_hook, None),
}


def main(count: int) -> None:
    print("| sender | CPU µs a request at 0 ms | at 5 ms |\n|---|---|---|")
    for name, (send, needs) in SENDERS.items():
        if needs and importlib.util.find_spec(needs) is None:
            print(f"| {name} | not installed | |")
            continue
        print(f"| {name} | " + " | ".join(f"{cost_us(send, latency, count):.0f}" for latency in (0, 5)) + " |")


def cost_us(send: Callable[[str, int], None], latency_ms: float, count: int) -> float:
    """CPU of this process for one request; the best of three turns."""
    turns = []
    for _ in range(3):
        with sink.running(latency_ms) as running:
            begun = time.process_time()
            send(running.url, count)
            turns.append((time.process_time() - begun) / count * 1e6)
    return min(turns)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
