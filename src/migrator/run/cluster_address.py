"""What `--cluster` names: so many workers of this machine, or a Dask scheduler; and which plans it can run.

Workers of a scheduler read the source in a folder that they share with the coordinator, or from S3. They share no
folder to write to: a file that two hosts lock or append to over a network is one that gets lost.
"""

from __future__ import annotations

import re

from msgspec import Struct

from migrator.errors import UsageError
from migrator.run.increments import ByHash
from migrator.run.plan import Plan

_LOCAL = re.compile(r"local:([0-9]{1,4})")
_SCHEDULER = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[^\s/:@]+):([0-9]{1,5})")


class ClusterAddress(Struct, frozen=True):
    """Either `workers` or `scheduler`."""

    workers: int = 0
    scheduler: str = ""

    def __str__(self) -> str:
        return self.scheduler or f"local:{self.workers}"


def read_address(text: str) -> ClusterAddress:
    """Raises UsageError.

    >>> read_address("local:4"), read_address("tcp://10.0.0.7:8786")
    (ClusterAddress(workers=4, scheduler=''), ClusterAddress(workers=0, scheduler='tcp://10.0.0.7:8786'))
    """
    if (local := _LOCAL.fullmatch(text)) and int(local[1]):
        return ClusterAddress(workers=int(local[1]))
    if (named := _SCHEDULER.fullmatch(text)) and 0 < int(named[3]) < 65536:
        return ClusterAddress(scheduler=text)
    raise UsageError(
        f'--cluster: "{text}" is no cluster\n'
        "  Name local:N for N worker processes here, or the scheduler: tcp://HOST:PORT, tls://HOST:PORT."
    )


def require_runnable(plan: Plan) -> None:
    """Raises UsageError, before anything is looked at, with everything that speaks against this cluster."""
    if plan.cluster is None or read_address(plan.cluster).workers:
        return
    settings = plan.settings
    against = {
        "settings.rollback: true: what is replaced is kept in the state folder, line by line and on disk before it is"
        " sent, by each worker": settings.rollback,
        "settings.incremental: hash: the workers note in the state folder what they send, and compare with a ledger"
        " that is there": isinstance(settings.incremental, ByHash),
        "--via DIR: the workers would each write to a folder of their own host; --via s3://BUCKET/PREFIX can be": (
            plan.via is not None and not plan.via.startswith("s3://")
        ),
        "--local: the embedded DynamoDB is on this machine alone": plan.target.local,
    }
    if reasons := [reason for reason, holds in against.items() if holds]:
        raise UsageError(
            f"--cluster {plan.cluster} cannot be:\n  "
            + "\n  ".join(reasons)
            + "\n  --cluster local:N and no --cluster can do all of it. Nothing was written."
        )
