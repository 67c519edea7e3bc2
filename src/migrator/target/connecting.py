"""How a connection to an endpoint comes about: by urllib3, as in botocore.

So the way through a proxy, the settings of TLS, what of a certificate is checked and how a name is looked up are the
SDK's own.
"""

from __future__ import annotations

import socket
import ssl
from functools import lru_cache
from http.client import HTTPException
from typing import Any, Protocol

from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.httpsession import create_urllib3_context
from urllib3 import exceptions as urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.util import Url, parse_url
from urllib3.util.ssltransport import SSLTransport

from migrator.target.endpoint import DEFAULT_PORTS, Endpoint, speaks_tls

_SOCKET_OPTIONS = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


class Socket(Protocol):
    """What is needed of a socket, TLS or not. It never waits: it raises one of WOULD_WAIT."""

    def fileno(self) -> int: ...

    def send(self, data: bytes | memoryview, /) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def connect(endpoint: Endpoint) -> Socket:
    """A connection that is ready for requests; waits for it. Raises what botocore would."""
    connection = _connection(endpoint)
    try:
        connection.connect()
    except (urllib3.HTTPError, HTTPException, OSError) as error:  # ssl.SSLError is an OSError
        connection.close()
        raise _as_botocore(error, endpoint) from error
    sock: Any = connection.sock
    if isinstance(sock, SSLTransport):
        return _TlsInTls(sock, endpoint.read_timeout_s)
    sock.setblocking(False)
    ready: Socket = sock
    return ready


def _connection(endpoint: Endpoint) -> HTTPConnection:
    target, proxy = parse_url(endpoint.url), _proxy(endpoint)
    first = proxy or target
    settings: dict[str, Any] = {
        "timeout": endpoint.connect_timeout_s,
        "socket_options": _SOCKET_OPTIONS,
        "proxy": proxy,
    }
    if not speaks_tls(endpoint.url, endpoint.proxy):
        return HTTPConnection(_host(first), _port(first), **settings)
    context = _context(endpoint)
    proxy_config = ProxyConfig(context, False, None, None)
    connection = HTTPSConnection(_host(first), _port(first), ssl_context=context, proxy_config=proxy_config, **settings)
    if proxy and target.scheme == "https":
        connection.set_tunnel(_host(target), _port(target), endpoint.proxy_headers, proxy.scheme or "http")
    return connection


def _proxy(endpoint: Endpoint) -> Url | None:
    try:
        return parse_url(endpoint.proxy) if endpoint.proxy else None
    except urllib3.LocationParseError as error:
        raise _as_botocore(error, endpoint) from None  # it quotes the address, password included


def _host(url: Url) -> str:
    return (url.host or "").strip("[]")


def _port(url: Url) -> int:
    return url.port or DEFAULT_PORTS[url.scheme or "http"]


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        return _context_of(endpoint.ca_file)
    except OSError as error:
        raise SSLError(endpoint_url=endpoint.url, error=f"{endpoint.ca_file}: {error}") from error


# Reading a file of certificates takes longer than a connection does.
@lru_cache(maxsize=4)
def _context_of(ca_file: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext = create_urllib3_context()
    context.load_verify_locations(ca_file)
    context.check_hostname = True
    return context


def _as_botocore(error: Exception, endpoint: Endpoint) -> BotoCoreError:
    url, words = endpoint.url, str(error)
    if isinstance(error, (ssl.SSLEOFError, ConnectionError)):
        return ConnectionClosedError(endpoint_url=url, error=words)
    if isinstance(error, (ssl.SSLError, urllib3.SSLError)):
        return SSLError(endpoint_url=url, error=words)
    # urllib3's NewConnectionError is one of its ConnectTimeoutErrors.
    if isinstance(error, TimeoutError) or type(error) is urllib3.ConnectTimeoutError:
        return ConnectTimeoutError(endpoint_url=url, error=words)
    if endpoint.proxy:
        # The proxy's address may hold a password.
        return ProxyConnectionError(proxy_url=endpoint.proxy.rpartition("@")[2], error=words)
    return EndpointConnectionError(endpoint_url=url, error=words)


class _TlsInTls:
    """TLS to the endpoint inside of TLS to a proxy. It waits while it writes: for what the outer one does not take at
    once, SSLTransport has no place."""

    def __init__(self, inner: SSLTransport, timeout_s: float) -> None:
        self._inner = inner
        self._outer = inner.socket
        self._timeout_s = timeout_s
        self._outer.setblocking(False)

    def fileno(self) -> int:
        return self._inner.fileno()

    def send(self, data: bytes | memoryview, /) -> int:
        self._outer.settimeout(self._timeout_s)
        try:
            self._inner.sendall(data)  # type: ignore[arg-type]  # it says bytes, and makes a memoryview of them
        finally:
            self._outer.setblocking(False)
        return len(data)

    def recv(self, size: int, /) -> bytes:
        data = self._inner.recv(size)
        return data if isinstance(data, bytes) else b""  # the end is told as 0

    def close(self) -> None:
        self._inner.close()
