"""How a plan is run: its `settings:`, their defaults, and how each is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from migrator import limits
from migrator.node import Node
from migrator.run.durations import read_duration, read_positive_duration
from migrator.run.increments import Incremental, read_incremental
from migrator.run.unattended import Command, Metrics, read_command, read_metrics
from migrator.target.backoff import RetryPolicy


class Settings(Struct, frozen=True):
    """How to run. The defaults are the documented ones."""

    create_table: Literal["if_missing", "never"] = "if_missing"
    batch_size: int = limits.BATCH_ITEMS
    parallelism: int = 1  #: worker processes
    write_rate: int | None = None  #: write capacity units a second over all workers
    validate: bool = True
    on_reject: Literal["continue", "stop"] = "continue"
    max_rejects: int | None = None
    on_existing: Literal["replace", "skip", "error"] = "replace"
    on_changed: Literal["refuse", "restart"] = "refuse"
    incremental: Incremental | None = None
    backup: bool | str = False  #: True, or the backup's name
    rollback: bool = False
    verify: Literal["none", "sample", "full"] = "none"
    integrity_check: Literal["full", "off"] = "full"
    max_duration_s: float | None = None
    lock_wait_s: float = 0.0
    give_up_after_s: float = 300.0
    max_attempts: int = 10
    keep_runs: int = 30
    state_dir: str = ".migrator"  #: absolute in a loaded plan
    on_start: Command | None = None
    on_success: Command | None = None
    on_failure: Command | None = None
    hook_timeout_s: float = 60.0
    metrics: Metrics = Metrics()  # frozen

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(self.max_attempts, self.give_up_after_s)


_NOTHING: Mapping[str, Any] = {}


def _choice(*allowed: str) -> Callable[[Node], str]:
    return lambda node: node.choice(*allowed)


def _whole(low: int, high: int | None = None) -> Callable[[Node], int]:
    return lambda node: node.integer(low, high)


def _backup(node: Node) -> bool | str:
    if not isinstance(node.value, dict):
        return node.boolean()
    fields = node.fields("name")
    name = fields.need("name", Node.text)
    fields.finish()
    return name


#: With what of them belongs to the connection
Read = tuple[Settings, dict[str, Any]]

#: A setting -> where it goes, and how it is read. The last three are of the connection.
SETTINGS: dict[str, tuple[str, Callable[[Node], Any]]] = {
    "create_table": ("create_table", _choice("if_missing", "never")),
    "batch_size": ("batch_size", _whole(1, limits.BATCH_ITEMS)),
    "parallelism": ("parallelism", _whole(1, 256)),
    "write_rate": ("write_rate", _whole(1)),
    "validate": ("validate", Node.boolean),
    "on_reject": ("on_reject", _choice("continue", "stop")),
    "max_rejects": ("max_rejects", _whole(0)),
    "on_existing": ("on_existing", _choice("replace", "skip", "error")),
    "on_changed": ("on_changed", _choice("refuse", "restart")),
    "incremental": ("incremental", read_incremental),
    "backup": ("backup", _backup),
    "rollback": ("rollback", Node.boolean),
    "verify": ("verify", _choice("none", "sample", "full")),
    "integrity_check": ("integrity_check", _choice("full", "off")),
    "max_duration": ("max_duration_s", read_positive_duration),
    "lock_wait": ("lock_wait_s", read_duration),
    "give_up_after": ("give_up_after_s", read_positive_duration),
    "max_attempts": ("max_attempts", _whole(1)),
    "keep_runs": ("keep_runs", _whole(1)),
    "state_dir": ("state_dir", Node.path_from_document),
    "on_start": ("on_start", read_command),
    "on_success": ("on_success", read_command),
    "on_failure": ("on_failure", read_command),
    "hook_timeout": ("hook_timeout_s", read_positive_duration),
    "metrics": ("metrics", read_metrics),
    "connect_timeout": ("connect_timeout_s", read_positive_duration),
    "read_timeout": ("read_timeout_s", read_positive_duration),
    "connections": ("connections", _whole(1, 1024)),
}
#: Those of the connection, which `TargetSettings` has.
_SESSION_KEYS = ("connect_timeout_s", "read_timeout_s", "connections")


def read_settings(node: Node) -> Read:
    """The settings, and those of the connection by their names."""
    fields = node.fields(*SETTINGS)
    given = {field: fields.get(key, read, None) for key, (field, read) in SETTINGS.items() if key in fields}
    if given.get("incremental") and given.get("on_existing", "replace") != "replace":
        fields.fail(
            f"incremental does not go with on_existing: {given['on_existing']}",
            "an item that changed takes the place of the one that is there: leave on_existing out",
        )
    fields.finish()
    return default_settings(node, given)


def default_settings(node: Node, given: Mapping[str, Any] = _NOTHING) -> Read:
    """What is not given is as the machine and the plan's folder have it."""
    state_dir = str(node.document.path.parent / ".migrator")
    found = {"parallelism": len(os.sched_getaffinity(0)), "state_dir": state_dir, **given}
    session = {key: found.pop(key) for key in _SESSION_KEYS if key in found}
    return Settings(**found), session
