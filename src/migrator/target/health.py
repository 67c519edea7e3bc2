"""Is the target well? Who asks, where, how fast it answers, and the state of each table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from botocore.config import Config

from migrator.errors import TargetError
from migrator.target.backoff import REAL_TIME, RetryPolicy, Timing, ask
from migrator.target.faults import CLIENT_ERRORS, words_of
from migrator.target.session import TargetSettings, open_session
from migrator.target.tablefound import describe, is_service

# A person waits for this one.
_QUICK = RetryPolicy(max_attempts=3, give_up_after_s=5.0, first_delay_s=0.1, longest_delay_s=1.0)
_UNREACHED = frozenset({"target_unreachable", "tls"})


def health(
    client: Any,
    settings: TargetSettings,
    tables: Iterable[str] = (),
    *,
    timing: Timing = REAL_TIME,
    who: Callable[[TargetSettings], str] | None = None,
) -> dict[str, Any]:
    """What `check` reports; it raises nothing for a target that is ill.

    Keys: identity (an ARN, or None with identity_note), region, endpoint, reachable, latency_ms (of one request),
    tables ({name: status, or None where it is missing}), error ({code, message} or None).
    """
    report: dict[str, Any] = {
        **_identity(client.meta.endpoint_url, settings, who or caller_arn),
        "region": client.meta.region_name,
        "endpoint": client.meta.endpoint_url,
        "reachable": True,
        "latency_ms": None,
        "tables": {},
        "error": None,
    }
    begun = timing.clock()
    try:
        for name in tables:
            description = describe(client, name, timing=timing, policy=_QUICK)
            report["tables"][name] = description and description.get("TableStatus", "ACTIVE")
        if not report["tables"]:
            ask(lambda: client.list_tables(Limit=1), "list tables", policy=_QUICK, timing=timing)
    except TargetError as error:
        report["reachable"] = error.code not in _UNREACHED
        report["error"] = {"code": error.code, "message": str(error)}
    if report["reachable"]:
        requests = max(1, len(report["tables"]))
        report["latency_ms"] = round((timing.clock() - begun) * 1_000 / requests, 1)
    return report


def caller_arn(settings: TargetSettings) -> str:
    """Who the credentials belong to, by STS, with one short try: it may be out of reach where DynamoDB is not."""
    config = Config(connect_timeout=2.0, read_timeout=5.0, retries={"total_max_attempts": 1})
    return str(open_session(settings).create_client("sts", config=config).get_caller_identity()["Arn"])


def _identity(endpoint: str, settings: TargetSettings, who: Callable[[TargetSettings], str]) -> dict[str, Any]:
    if settings.endpoint_url or not is_service(endpoint):
        return {"identity": None, "identity_note": "not asked for at an endpoint of one's own"}
    try:
        return {"identity": who(settings), "identity_note": None}
    except CLIENT_ERRORS as error:
        return {"identity": None, "identity_note": words_of(error)}
    except TargetError as error:
        return {"identity": None, "identity_note": str(error).splitlines()[0]}
