"""Clients: region, endpoint, credentials, timeouts. What a plan says goes before the environment.

Credentials are found, refreshed and kept by botocore, boto3's core; nothing here reads, logs or stores one.
boto3 itself would add a fifth of a second to each start, for what is not used here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from msgspec import Struct

from migrator import __version__
from migrator.errors import TargetError
from migrator.target.faults import CLIENT_ERRORS, to_target_error
from migrator.target.servicemodels import ServiceModels

__all__ = [
    "TargetSettings",
    "client_of",
    "create_client",
    "create_service_client",
    "open_region",
    "open_session",
    "resolve_region",
    "to_target_error",
]

# botocore overlooks the first. "The usual AWS settings": AWS_REGION is what the other SDKs and Lambda read.
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

# The embedded engine takes any; these keep the user's own off the wire.
_LOCAL_CREDENTIALS = ("local", "local")
_LOCAL_REGION = "us-east-1"


class TargetSettings(Struct, frozen=True):
    """Where a target is and how to reach it; picklable, so that each worker makes a client of its own.

    `local` is the embedded engine: no profile, no credentials, no proxy.
    """

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    connections: int = 64
    local: bool = False


def resolve_region(
    settings: TargetSettings, profile_region: str | None, environment: Mapping[str, str] = os.environ
) -> str:
    """The plan, AWS_REGION, AWS_DEFAULT_REGION, the profile."""
    named = (settings.region, *(environment.get(name) for name in _REGION_VARIABLES), profile_region)
    region = next((name for name in named if name), _LOCAL_REGION if settings.local else None)
    if region is None:
        raise TargetError(
            "no AWS region is set\n  set target: region in the plan, AWS_REGION, or region in the profile",
            code="region_missing",
        )
    return region


def open_session(settings: TargetSettings, environment: Mapping[str, str] = os.environ) -> Any:
    """A botocore session with region and credentials; TargetError where one is missing."""
    session, region = open_region(settings, environment)
    try:
        credentials = session.get_credentials()
    except CLIENT_ERRORS as error:
        raise to_target_error(error, "AWS settings") from error
    if credentials is None:
        raise TargetError(
            "no AWS credentials were found\n"
            "  set AWS_PROFILE or target: profile, log in (aws sso login), or run where a role is attached;\n"
            "  --local needs none",
            code="credentials_missing",
        )
    if settings.role_arn and not settings.local:
        _assume_role(session, settings.role_arn, credentials, region)
    return session


def open_region(settings: TargetSettings, environment: Mapping[str, str] = os.environ) -> tuple[Any, str]:
    """A botocore session that knows its region, and that region; no credentials are asked for. Raises TargetError."""
    try:
        session = _new_session(settings)
        region = resolve_region(settings, session.get_config_variable("region"), environment)
        session.set_config_variable("region", region)
    except CLIENT_ERRORS as error:
        raise to_target_error(error, "AWS settings") from error
    return session, region


def create_client(settings: TargetSettings, environment: Mapping[str, str] = os.environ) -> Any:
    """A DynamoDB client that tries each request once: retrying is `target.backoff`'s."""
    return client_of(open_session(settings, environment), settings)


def create_service_client(settings: TargetSettings, service: str) -> Any:
    """A client of a service that stands beside the target's DynamoDB, where the AWS settings say."""
    return client_of(open_session(settings), settings, service)


def client_of(session: Any, settings: TargetSettings, service: str = "dynamodb") -> Any:
    """A client of a session that was opened here; TargetError where the AWS settings make none."""
    endpoint_url = settings.endpoint_url if service == "dynamodb" else None
    return session.create_client(service, endpoint_url=endpoint_url, config=_config(settings))


class _Session(botocore.session.Session):  # type: ignore[misc]  # botocore has no types
    """One that says what is wrong with the AWS settings, also of the clients that credentials are asked for with."""

    def create_client(self, *args: Any, **options: Any) -> Any:
        """As botocore's; TargetError where the AWS settings make none."""
        try:
            return super().create_client(*args, **options)
        except CLIENT_ERRORS as error:
            raise to_target_error(error, "AWS settings") from error
        except ValueError as error:
            raise TargetError(
                f"AWS settings: {error}\n"
                "  give an address as http://HOST:PORT in target: endpoint_url,"
                " AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_SERVICE",
                code="endpoint_wrong",
            ) from error


def _config(settings: TargetSettings) -> Config:
    """Mode `legacy` is the one that checks the CRC32 of DynamoDB's answers, also with a single attempt."""
    return Config(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=settings.connections,
        retries={"mode": "legacy", "total_max_attempts": 1},
        tcp_keepalive=True,
        user_agent_extra=f"migrator/{__version__}",
        **({"proxies": {}} if settings.local else {}),
    )


def _new_session(settings: TargetSettings) -> Any:
    session = _local_session() if settings.local else _Session(profile=settings.profile)
    session.register_component("data_loader", ServiceModels(session.get_component("data_loader")))
    return session


def _local_session() -> Any:
    # An AWS_PROFILE that does not exist, or a broken config file, must not stop what needs neither.
    nothing = {"profile": (None, None, None, None)}
    files = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    session = _Session(session_vars=nothing | files)
    session.set_credentials(*_LOCAL_CREDENTIALS)
    return session


def _assume_role(session: Any, role_arn: str, source_credentials: Any, region: str) -> None:
    """Put the role's credentials into the session; they refresh themselves before they expire."""
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(session.create_client, region_name=region),
        source_credentials=source_credentials,
        role_arn=role_arn,
        extra_args={"RoleSessionName": "migrator"},
    )
    session._credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
