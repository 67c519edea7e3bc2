"""Requests on their way: many at once over kept-alive connections, from one thread, by libcurl.

libcurl brings TLS, proxies, timeouts and the reuse of connections; benchmarks/README.md has what else was measured.
It is told to try once, as botocore is: retrying belongs to `target.backoff`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pycurl
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

from migrator import __version__
from migrator.target.answer import read_answer
from migrator.target.endpoint import Endpoint
from migrator.target.faults import CLIENT_ERRORS
from migrator.target.sigv4 import Signer

# The whole exchange may take the two timeouts, and what its body needs at this slow a pace.
_SLOWEST_BYTES_PER_MS = 128


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request: a document, or the error that botocore would raise."""

    latency_ms: float = 0.0
    document: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None


OnReply = Callable[[Reply], None]


class Sender(Protocol):
    """What delivery needs of a transport; tests script their own."""

    @property
    def free(self) -> int:
        """How many more requests may be under way."""

    def submit(self, operation: str, body: bytes, on_reply: OnReply) -> None:
        """Send; needs a free place. The reply comes during a later `poll`."""

    def poll(self, timeout_s: float) -> None:
        """Hand out the replies that came in; where there are none, wait for some for so long."""


class Transport:
    """Sends to one endpoint, with credentials that botocore keeps fresh. For one thread."""

    def __init__(self, endpoint: Endpoint, credentials: Any) -> None:
        self._signer = Signer(credentials, endpoint.region, endpoint.host, endpoint.path)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, endpoint.connections)
        self._idle = [_Exchange(endpoint) for _ in range(endpoint.connections)]
        self._busy: dict[pycurl.Curl, tuple[_Exchange, OnReply]] = {}
        self._unsendable: list[tuple[OnReply, Exception]] = []

    @property
    def free(self) -> int:
        return len(self._idle)

    def submit(self, operation: str, body: bytes, on_reply: OnReply) -> None:
        try:
            headers = self._signer.headers(operation, body)
        except CLIENT_ERRORS as error:  # credentials that could not be refreshed
            self._unsendable.append((on_reply, error))
            return
        exchange = self._idle.pop()
        exchange.begin(operation, headers, body)
        self._busy[exchange.curl] = exchange, on_reply
        self._multi.add_handle(exchange.curl)

    def poll(self, timeout_s: float) -> None:
        if self._hand_out() or timeout_s <= 0:
            return
        if self._busy:
            self._multi.select(timeout_s)
        else:
            time.sleep(timeout_s)
        self._hand_out()

    def _hand_out(self) -> int:
        """Let libcurl work, and hand out what is done; how many replies that were."""
        unsendable, self._unsendable = self._unsendable, []
        for on_reply, error in unsendable:
            on_reply(Reply(error=error))
        if not self._busy:
            return len(unsendable)
        self._multi.perform()
        count, more = len(unsendable), 1
        while more:
            more, done, failed = self._multi.info_read()
            for curl in done:
                self._finish(curl, None)
            for curl, number, message in failed:
                self._finish(curl, (number, message))
            count += len(done) + len(failed)
        return count

    def _finish(self, curl: pycurl.Curl, failure: tuple[int, str] | None) -> None:
        exchange, on_reply = self._busy.pop(curl)
        self._multi.remove_handle(curl)
        reply = exchange.end(failure)
        self._idle.append(exchange)
        on_reply(reply)


class _Exchange:
    """One request and its answer; its handle serves many, one after another."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.curl = curl = pycurl.Curl()
        for option, value in _options(endpoint).items():
            curl.setopt(option, value)
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._body.append)
        curl.setopt(pycurl.PREREQFUNCTION, self._before_request)

    def begin(self, operation: str, headers: list[str], body: bytes) -> None:
        self._operation = operation
        self._attempts = 0
        self._head.clear()
        self._body.clear()
        curl, endpoint = self.curl, self._endpoint
        timeout_ms = (endpoint.connect_timeout_s + endpoint.read_timeout_s) * 1_000 + len(body) / _SLOWEST_BYTES_PER_MS
        # Without these libcurl adds headers of its own.
        curl.setopt(pycurl.HTTPHEADER, [*headers, "Expect:", "Accept:"])
        curl.setopt(pycurl.TIMEOUT_MS, int(timeout_ms))
        curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
        curl.setopt(pycurl.POSTFIELDS, body)

    def end(self, failure: tuple[int, str] | None) -> Reply:
        latency_ms = self.curl.getinfo(pycurl.TOTAL_TIME) * 1_000
        # The handle waits for its next request with the last body in its hand, which may be 16 MB.
        self.curl.setopt(pycurl.POSTFIELDS, b"")
        try:
            if failure:
                raise self._error(*failure)
            status = self.curl.getinfo(pycurl.RESPONSE_CODE)
            document = read_answer(self._operation, status, b"".join(self._head), b"".join(self._body))
        except CLIENT_ERRORS as error:
            return Reply(latency_ms, error=error)
        return Reply(latency_ms, document)

    def _before_request(self, *_address: Any) -> int:
        # libcurl sends again by itself where a reused connection dies without an answer. The first attempt may have
        # been applied, and whoever asked has to know.
        self._attempts += 1
        allowed: int = pycurl.PREREQFUNC_OK if self._attempts == 1 else pycurl.PREREQFUNC_ABORT
        return allowed

    def _error(self, number: int, message: str) -> BotoCoreError:
        words = next((words for words in _PASSING if words in message), None)
        if words:
            return _PASSING[words](self._endpoint, message)
        if number == pycurl.E_OPERATION_TIMEDOUT and not self._attempts:
            return ConnectTimeoutError(endpoint_url=self._endpoint.url, error=message)
        return _ERRORS.get(number, _unknown)(self._endpoint, message)


def _options(endpoint: Endpoint) -> dict[int, Any]:
    """What stays the same for every request. Settings that libcurl would take from the environment are set."""
    options = {
        pycurl.URL: endpoint.url,
        pycurl.PATH_AS_IS: 1,
        pycurl.POST: 1,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.USERAGENT: f"migrator/{__version__} {pycurl.version.partition(' ')[0]}",
        pycurl.CONNECTTIMEOUT_MS: int(endpoint.connect_timeout_s * 1_000),
        pycurl.NOSIGNAL: 1,
        pycurl.TCP_KEEPALIVE: 1,
        pycurl.PROXY: endpoint.proxy or "",
        pycurl.NOPROXY: "",
    }
    if endpoint.ca_file:
        options |= {pycurl.CAINFO: endpoint.ca_file, pycurl.PROXY_CAINFO: endpoint.ca_file}
    return options


_Raise = Callable[[Endpoint, str], BotoCoreError]


def _unknown(endpoint: Endpoint, message: str) -> BotoCoreError:
    return HTTPClientError(error=message)


def _unreachable(endpoint: Endpoint, message: str) -> BotoCoreError:
    return EndpointConnectionError(endpoint_url=endpoint.url, error=message)


def _proxy(endpoint: Endpoint, message: str) -> BotoCoreError:
    # The proxy's address may hold a password.
    return ProxyConnectionError(proxy_url=(endpoint.proxy or "").rpartition("@")[2], error=message)


def _closed(endpoint: Endpoint, message: str) -> BotoCoreError:
    return ConnectionClosedError(endpoint_url=endpoint.url, error=message)


def _tls(endpoint: Endpoint, message: str) -> BotoCoreError:
    return SSLError(endpoint_url=endpoint.url, error=message)


# "libcurl error codes": what each is to botocore.
_ERRORS: Mapping[int, _Raise] = {
    pycurl.E_COULDNT_RESOLVE_PROXY: _proxy,
    pycurl.E_COULDNT_RESOLVE_HOST: _unreachable,
    pycurl.E_COULDNT_CONNECT: _unreachable,
    pycurl.E_OPERATION_TIMEDOUT: lambda endpoint, message: ReadTimeoutError(endpoint_url=endpoint.url, error=message),
    pycurl.E_PARTIAL_FILE: lambda endpoint, message: ResponseStreamingError(error=message),
    pycurl.E_ABORTED_BY_CALLBACK: _closed,
    pycurl.E_GOT_NOTHING: _closed,
    pycurl.E_SEND_ERROR: _closed,
    pycurl.E_RECV_ERROR: _closed,
    **dict.fromkeys(
        (
            pycurl.E_SSL_CONNECT_ERROR,
            pycurl.E_PEER_FAILED_VERIFICATION,
            pycurl.E_SSL_CACERT_BADFILE,
            pycurl.E_SSL_CERTPROBLEM,
            pycurl.E_SSL_CIPHER,
            pycurl.E_SSL_ISSUER_ERROR,
        ),
        _tls,
    ),
}
# Where one code stands for what is wrong for good and for what passes, libcurl's words tell.
_PASSING: Mapping[str, _Raise] = {"Connection reset by peer": _closed, "CONNECT tunnel failed": _proxy}
