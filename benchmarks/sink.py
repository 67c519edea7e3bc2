"""Starts sink.c, asks it what it saw, and ends it."""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import native


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sink counted. A unit is a started KB on the wire, a little more than DynamoDB would charge."""

    items: int
    requests: int  #: of all operations, refused ones too
    distinct_requests: int  #: writes whose bodies differ
    throttled: int
    unknown: int  #: operations it does not know
    body_bytes: int
    connections: int
    units: int
    peak_units_per_s: int
    writing_s: float  #: from the first write to the last


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink. `certificate` is what a client must trust, without TLS None."""

    url: str
    certificate: Path | None

    def seen(self) -> Seen:
        trust = None if self.certificate is None else ssl.create_default_context(cafile=str(self.certificate))
        with urllib.request.urlopen(f"{self.url}/stats", context=trust) as answer:
            return Seen(**json.load(answer))


@contextmanager
def running(latency_ms: float = 0, *, tls: bool = False, units_per_s: float = 0) -> Iterator[Sink]:
    """A sink on a free port; `units_per_s` above 0 throttles."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "certificate.pem"
        files = [certificate, _make_certificate(certificate)] if tls else []
        command: list[str | Path] = [native.build("sink"), "0", str(latency_ms), str(units_per_s), *files]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline())
                yield Sink(f"{'https' if tls else 'http'}://127.0.0.1:{port}", certificate if tls else None)
            finally:
                process.terminate()


def _make_certificate(certificate: Path) -> Path:
    """A certificate that signs itself, for this machine's own address and a day; the path of its key."""
    key = certificate.with_name("key.pem")
    extensions = ["subjectAltName=IP:127.0.0.1", "keyUsage=critical,digitalSignature,keyCertSign"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=sink", *(word for each in extensions for word in ("-addext", each))]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key
