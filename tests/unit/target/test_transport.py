"""The transport against servers that misbehave, on real sockets. What it does with an engine: tests/conformance."""

import datetime
import gc
import ipaddress
import socket
import ssl
import threading
import time
import traceback

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import (
    ChecksumError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.httpsession import get_cert_path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from migrator.target.connecting import connect
from migrator.target.endpoint import Endpoint, resolve_endpoint
from migrator.target.faults import Verdict, fault_of
from migrator.target.session import TargetSettings, create_client
from migrator.target.transport import Transport

#: Whether an idle connection is still there is looked at when it has been idle for so long.
IDLE_S = 1.2
KEYS = Credentials("AKID", "secret")


def http(body=b"{}", status=b"200 OK", *headers):
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Server:
    """Answers the n-th request of all connections with the n-th of `answers`, the last one for ever.

    None closes the connection instead, and `closing` does so after each answer, without saying so before.
    CONNECT is obeyed: the rest of the connection goes to the server that it names.
    """

    def __init__(self, *answers, closing=False, tls=None, greeting=None, early=False):
        self.answers = answers or (http(),)
        self.closing = closing
        self.tls = tls
        self.greeting = greeting
        self.early = early  #: answer before the body is read
        self.requests = []
        self.connections = 0
        self.ended = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self.port = self._socket.getsockname()[1]

    def close(self):
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.greeting:
                connection.sendall(self.greeting)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while request := self._read(reader):
                    self.requests.append(request)
                    answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                    if answer is None:
                        return
                    connection.sendall(answer)
                    if request[0].startswith("CONNECT") and b"200" in answer:
                        self._tunnel(connection, request[0].split()[1])
                        return
                    if self.closing:
                        return
        except OSError:
            connection.close()
        finally:
            self.ended += 1

    @staticmethod
    def _tunnel(near, address):
        host, _, port = address.rpartition(":")
        near.settimeout(0.001)  # a connection of TLS is for one thread at a time
        with socket.create_connection((host, int(port))) as far:
            far.settimeout(0.001)
            while True:
                for source, sink in ((near, far), (far, near)):
                    try:
                        data = source.recv(65_536)
                    except TimeoutError:
                        continue
                    if not data:
                        return
                    sink.settimeout(10)
                    sink.sendall(data)
                    sink.settimeout(0.001)

    def _read(self, reader):
        first = reader.readline().decode("latin-1").rstrip()
        headers = {}
        while line := reader.readline().rstrip():
            name, _, value = line.decode("latin-1").partition(": ")
            headers[name.lower()] = value
        length = 0 if self.early else int(headers.get("content-length", 0))
        return (first, headers, reader.read(length)) if first else None


@pytest.fixture
def serve():
    servers = []

    def serve(*answers, **settings):
        servers.append(Server(*answers, **settings))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def open_transport(server, *, connections=1, credentials=KEYS, **settings):
    endpoint = Endpoint(f"http://127.0.0.1:{server.port}", "eu-west-1", connections=connections, **settings)
    return Transport(endpoint, credentials)


def wait_for(condition):
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def ask(transport, body=b"{}", times=1):
    """Send so many requests, one after another, and give the replies."""
    replies = []
    for number in range(times):
        transport.submit("PutItem", body, replies.append)
        give_up = time.monotonic() + 10
        while len(replies) == number:
            assert time.monotonic() < give_up
            transport.poll(0.05)
    return replies


def test_a_request_is_a_signed_post(serve):
    server = serve(http(b'{"a": 1}'))
    (reply,) = ask(open_transport(server), b'{"b": 2}')
    ((first, headers, body),) = server.requests
    assert (reply.error, reply.document) == (None, {"a": 1})
    assert reply.latency_ms > 0
    assert (first, body) == ("POST / HTTP/1.1", b'{"b": 2}')
    assert "eu-west-1/dynamodb/aws4_request" in headers.pop("authorization")
    assert headers.pop("user-agent").startswith("migrator/")
    assert len(headers.pop("x-amz-date")) == 16
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/x-amz-json-1.0",
        "content-length": "8",
        "x-amz-target": "DynamoDB_20120810.PutItem",
    }


def test_a_large_body_is_sent_without_asking_first(serve):
    server = serve()
    body = b'"' + b"x" * 5_000_000 + b'"'
    assert ask(open_transport(server), body)[0].error is None
    assert server.requests[0][2] == body
    assert "expect" not in server.requests[0][1]


def test_connections_are_kept_and_no_more_than_allowed(serve):
    server = serve()
    transport = open_transport(server, connections=3)
    replies = []
    for _ in range(20):
        while transport.free:
            transport.submit("PutItem", b"{}", replies.append)
        while not transport.free:
            transport.poll(0.05)
    while transport.free < 3:
        transport.poll(0.05)
    assert [reply.error for reply in replies] == [None] * len(server.requests)
    assert server.connections <= 3


def test_a_connection_that_the_server_closed_when_idle_is_replaced(serve):
    server = serve(closing=True)
    transport = open_transport(server)
    assert ask(transport)[0].error is None
    time.sleep(IDLE_S)
    assert ask(transport)[0].error is None
    assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("before", [0, 1], ids=["new connection", "reused connection"])
def test_a_lost_answer_is_told_and_not_asked_for_again(serve, before):
    """Not even where a reused connection was lost: the first request may have been applied."""
    server = serve(*[http()] * before, None, http())
    *_, reply = ask(open_transport(server), times=before + 1)
    assert isinstance(reply.error, ConnectionClosedError)
    assert len(server.requests) == before + 1


def test_after_a_lost_answer_the_next_request_gets_through(serve):
    server = serve(http(), None, http())
    replies = ask(open_transport(server), times=3)
    assert [reply.error is None for reply in replies] == [True, False, True]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(b"{}", b"200 OK", b"x-amz-crc32: 1"), ChecksumError),
        (http()[:-1], ResponseStreamingError),
        (b"nonsense\r\n\r\n", Exception),
    ],
    ids=["checksum", "truncated", "no HTTP"],
)
def test_a_damaged_answer_is_an_error(serve, answer, error):
    (reply,) = ask(open_transport(serve(answer, closing=True)))
    assert isinstance(reply.error, error)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\n\r\n{"a":1}',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
        http(b'{"a":1}', b"200 OK", b"Connection: close"),
    ],
    ids=["in chunks", "until the end", "to be continued", "the last one"],
)
def test_an_answer_ends_where_http_says(serve, answer):
    replies = ask(open_transport(serve(answer, closing=True)), times=1)
    assert [(reply.error, reply.document) for reply in replies] == [(None, {"a": 1})]


def test_a_connection_is_not_used_again_when_its_answer_says_so(serve):
    server = serve(http(b"{}", b"200 OK", b"Connection: close"))
    assert [reply.error for reply in ask(open_transport(server), times=3)] == [None] * 3
    assert server.connections == 3


def test_what_nobody_asked_for_ends_a_connection(serve):
    server = serve(http() + http(b'{"of": "nobody"}'))
    replies = ask(open_transport(server), times=3)
    assert [(reply.error, reply.document) for reply in replies] == [(None, {})] * 3
    assert server.connections == 3


@pytest.mark.parametrize("closing", [False, True], ids=["and goes on", "and hangs up"])
def test_an_answer_that_comes_before_the_body_was_taken_counts(serve, closing):
    """A proxy refuses what is too large for it by the head alone, and reads no further."""
    server = serve(http(b"", b"413 Too Large"), early=True, closing=closing)
    replies = ask(open_transport(server), b"x" * 30_000_000, times=2)
    assert [fault_of(reply.error).verdict for reply in replies] == [Verdict.TOO_LARGE] * 2
    assert server.connections == 2


def test_a_transport_that_is_gone_leaves_no_connection(serve):
    server = serve()
    transport = open_transport(server)
    ask(transport)
    del transport
    gc.collect()
    wait_for(lambda: server.ended == 1)


def test_an_answer_that_takes_too_long_is_an_error(serve):
    (reply,) = ask(open_transport(serve(b""), connect_timeout_s=0.1, read_timeout_s=0.2))
    assert isinstance(reply.error, ReadTimeoutError)


def test_a_connection_that_takes_too_long_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        endpoint = Endpoint(url, "here", get_cert_path(True), connections=1, connect_timeout_s=0.2)
        (reply,) = ask(Transport(endpoint, KEYS))
    assert isinstance(reply.error, ConnectTimeoutError)


def test_a_connection_that_comes_too_late_for_its_request_is_closed(serve, monkeypatch):
    delays_s = iter((0.6, 0))

    def connect_late(endpoint):
        time.sleep(next(delays_s))
        return connect(endpoint)

    monkeypatch.setattr("migrator.target.connector.connect", connect_late)
    server = serve()
    transport = open_transport(server, connect_timeout_s=0.1, read_timeout_s=0.1)
    assert isinstance(ask(transport)[0].error, ConnectTimeoutError)
    wait_for(lambda: transport.poll(0.05) or server.ended == 1)
    assert ask(transport)[0].error is None
    assert (len(server.requests), server.connections) == (1, 2)


def test_a_host_that_has_no_address_is_named(monkeypatch):
    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (reply,) = ask(Transport(Endpoint("http://nowhere.invalid", "here", connections=1), KEYS))
    assert isinstance(reply.error, EndpointConnectionError)


def test_an_endpoint_where_nobody_listens_is_named():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (reply,) = ask(Transport(Endpoint(f"http://127.0.0.1:{port}", "here", connections=1), KEYS))
    assert isinstance(reply.error, EndpointConnectionError)
    assert str(port) in str(reply.error)


# ---- credentials


def test_credentials_that_refresh_are_used_as_they_are_now(serve):
    def metadata(number, minutes):
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
        return {
            "access_key": f"KEY{number}",
            "secret_key": "s",
            "token": f"T{number}",
            "expiry_time": until.isoformat(),
        }

    numbers = iter(range(1, 10))
    # Those that end within ten minutes are asked for anew each time.
    refreshing = RefreshableCredentials.create_from_metadata(
        metadata(0, 30), lambda: metadata(next(numbers), 5), "test", advisory_timeout=7_200, mandatory_timeout=3_600
    )
    server = serve()
    ask(open_transport(server, credentials=refreshing), times=3)
    used = [headers["authorization"].partition("Credential=")[2].partition("/")[0] for _, headers, _ in server.requests]
    assert used == ["KEY1", "KEY2", "KEY3"]
    assert [headers["x-amz-security-token"] for _, headers, _ in server.requests] == ["T1", "T2", "T3"]


def test_credentials_that_cannot_be_had_are_the_requests_error(serve):
    class Gone:
        def get_frozen_credentials(self):
            raise CredentialRetrievalError(provider="sso", error_msg="log in")

    server = serve()
    (reply,) = ask(open_transport(server, credentials=Gone()))
    assert isinstance(reply.error, CredentialRetrievalError)
    assert server.requests == []


# ---- TLS and proxies, by the settings that botocore reads


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA's certificate and a server's, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context, str(folder / "ca.pem")


def resolve(url):
    """As a run does: by a client of the settings and the environment."""
    settings = TargetSettings(region="here", endpoint_url=url, connections=1, connect_timeout_s=2, read_timeout_s=2)
    return Transport(resolve_endpoint(settings, create_client(settings)), KEYS)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_ca_of_ones_own_is_trusted(serve, certificates, monkeypatch, variable):
    context, ca_file = certificates
    monkeypatch.setenv(variable, ca_file)
    assert ask(resolve(f"https://127.0.0.1:{serve(tls=context).port}"))[0].error is None


def test_large_bodies_and_answers_go_over_tls(serve, certificates, monkeypatch):
    context, ca_file = certificates
    monkeypatch.setenv("AWS_CA_BUNDLE", ca_file)
    large = b'"' + b"x" * 5_000_000 + b'"'
    server = serve(http(b'{"large": %b}' % large), tls=context)
    replies = ask(resolve(f"https://127.0.0.1:{server.port}"), large, times=2)
    assert [len(reply.document["large"]) for reply in replies] == [5_000_000] * 2
    assert [body for _, _, body in server.requests] == [large] * 2
    assert server.connections == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(serve, certificates):
    server = serve(tls=certificates[0])
    assert isinstance(ask(resolve(f"https://127.0.0.1:{server.port}"))[0].error, SSLError)
    assert server.requests == []


def test_a_certificate_for_another_host_is_refused(serve, certificates, monkeypatch):
    context, ca_file = certificates
    monkeypatch.setenv("AWS_CA_BUNDLE", ca_file)
    assert isinstance(ask(resolve(f"https://localhost:{serve(tls=context).port}"))[0].error, SSLError)


@pytest.mark.parametrize("content", [None, "nothing of the kind"], ids=["missing", "not certificates"])
def test_a_file_of_certificates_that_is_none_is_named(serve, certificates, tmp_path, content):
    ca_file = tmp_path / "ca.pem"
    if content:
        ca_file.write_text(content)
    url = f"https://127.0.0.1:{serve(tls=certificates[0]).port}"
    (reply,) = ask(Transport(Endpoint(url, "here", str(ca_file), connections=1), KEYS))
    assert isinstance(reply.error, SSLError)
    assert str(ca_file) in str(reply.error)


def test_a_server_that_speaks_no_tls_is_refused(serve):
    assert isinstance(ask(resolve(f"https://127.0.0.1:{serve(greeting=http()).port}"))[0].error, SSLError)


def test_http_goes_through_the_proxy_of_the_environment(serve, monkeypatch):
    proxy = serve()
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pass%20word@127.0.0.1:{proxy.port}")
    assert ask(resolve("http://dynamodb.example:8000"))[0].error is None
    ((first, headers, _),) = proxy.requests
    assert first == "POST http://dynamodb.example:8000/ HTTP/1.1"
    assert headers["host"] == "dynamodb.example:8000"
    assert headers["proxy-authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="


def test_no_proxy_names_what_is_reached_directly(serve, monkeypatch):
    proxy, server = serve(), serve()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert ask(resolve(f"http://127.0.0.1:{server.port}"))[0].error is None
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


def test_a_proxy_for_everything_is_not_asked(serve, monkeypatch):
    """As botocore, which knows of http_proxy and https_proxy alone."""
    proxy, server = serve(), serve()
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert ask(resolve(f"http://127.0.0.1:{server.port}"))[0].error is None
    assert proxy.requests == []


def test_https_is_tunnelled_through_the_proxy(serve, monkeypatch):
    proxy = serve(http(b"", b"403 Forbidden"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
    (reply,) = ask(resolve("https://dynamodb.example"))
    assert isinstance(reply.error, ProxyConnectionError)
    assert "secret" not in str(reply.error)
    assert proxy.requests[0][0].startswith("CONNECT dynamodb.example:443 HTTP/1.")


TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_go_through_a_tunnel_and_keep_it(serve, certificates, monkeypatch, scheme):
    """Through a proxy with TLS of its own it is TLS within TLS."""
    context, ca_file = certificates
    proxy, server = serve(TUNNEL, tls=context if scheme == "https" else None), serve(tls=context)
    monkeypatch.setenv("AWS_CA_BUNDLE", ca_file)
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:secret@127.0.0.1:{proxy.port}")
    large = b'"' + b"x" * 6_000_000 + b'"'
    replies = ask(resolve(f"https://127.0.0.1:{server.port}"), large, times=2)
    assert [reply.error for reply in replies] == [None] * 2
    assert [body for _, _, body in server.requests] == [large] * 2
    ((first, headers, _),) = proxy.requests
    assert first.startswith(f"CONNECT 127.0.0.1:{server.port}")
    assert headers["proxy-authorization"] == "Basic dXNlcjpzZWNyZXQ="
    assert (proxy.connections, server.connections) == (1, 1)


def test_http_goes_through_a_proxy_that_speaks_tls(serve, certificates, monkeypatch):
    context, ca_file = certificates
    proxy = serve(tls=context)
    monkeypatch.setenv("AWS_CA_BUNDLE", ca_file)
    monkeypatch.setenv("HTTP_PROXY", f"https://127.0.0.1:{proxy.port}")
    assert ask(resolve("http://dynamodb.example:8000"))[0].error is None
    assert proxy.requests[0][0] == "POST http://dynamodb.example:8000/ HTTP/1.1"


def test_a_proxy_that_is_not_there_is_named_without_its_password(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{port}")
    (reply,) = ask(resolve("https://dynamodb.example"))
    assert isinstance(reply.error, ProxyConnectionError)
    assert str(port) in str(reply.error)
    assert "secret" not in str(reply.error)


def test_a_proxy_that_has_no_address_is_named_without_its_password(serve):
    endpoint = Endpoint(f"http://127.0.0.1:{serve().port}", "here", proxy="http://user:secret@no host", connections=1)
    (reply,) = ask(Transport(endpoint, KEYS))
    assert isinstance(reply.error, ProxyConnectionError)
    assert "secret" not in "".join(traceback.format_exception(reply.error))
