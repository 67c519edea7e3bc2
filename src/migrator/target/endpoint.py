"""Where requests go and by which way: what botocore resolves, for a transport that is not botocore's.

An Endpoint pickles and holds no secret, so it is resolved once, by the coordinator, and handed to the workers.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies, normalize_url_path
from msgspec import Struct

from migrator.target.session import TargetSettings, open_session

DEFAULT_PORTS = {"http": 80, "https": 443}


class Endpoint(Struct, frozen=True):
    url: str
    region: str
    ca_file: str | None = None  #: certificates to verify the server and a proxy by; None is for http
    proxy: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    connections: int = 64

    @property
    def host(self) -> str:
        """The Host header, which is signed: without a port that the scheme implies.

        >>> Endpoint("http://LOCALHOST:8000", "here").host, Endpoint("https://[::1]:443/x", "here").host
        ('localhost:8000', '[::1]')
        """
        parts = urlsplit(self.url)
        name = parts.hostname or ""
        host = f"[{name}]" if ":" in name else name
        return host if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"

    @property
    def path(self) -> str:
        """The path as it is signed.

        >>> Endpoint("http://localhost:8000", "here").path, Endpoint("http://localhost/a b/", "here").path
        ('/', '/a%20b/')
        """
        return quote(normalize_url_path(urlsplit(self.url).path), safe="/~")

    @property
    def proxy_headers(self) -> dict[str, str]:
        """What the proxy is told of who asks."""
        headers: dict[str, str] = ProxyConfiguration().proxy_headers_for(self.proxy) if self.proxy else {}
        return headers


def speaks_tls(url: str, proxy: str | None) -> bool:
    """Whether the server does, or the proxy on the way to it.

    >>> speaks_tls("http://localhost", "https://proxy"), speaks_tls("http://localhost", None)
    (True, False)
    """
    return "https" in (urlsplit(url).scheme, urlsplit(proxy or "").scheme)


def resolve_endpoint(settings: TargetSettings, client: Any) -> Endpoint:
    """The way that a client of these settings takes, environment included."""
    return endpoint_at(client.meta.endpoint_url, client.meta.region_name, settings)


def endpoint_at(url: str, region: str, settings: TargetSettings) -> Endpoint:
    """The way to this address from this host: its proxy, and its certificates."""
    proxies = {} if settings.local else get_environ_proxies(url)
    proxy = ProxyConfiguration(proxies=proxies).proxy_url_for(url)
    return Endpoint(
        url=url,
        region=region,
        ca_file=_ca_file(settings) if speaks_tls(url, proxy) else None,
        proxy=proxy,
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
        connections=settings.connections,
    )


def _ca_file(settings: TargetSettings) -> str:
    """AWS_CA_BUNDLE or the profile's ca_bundle, REQUESTS_CA_BUNDLE, the certificates that botocore brings."""
    named = open_session(settings).get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    return str(named or get_cert_path(True))
