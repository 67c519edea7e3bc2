"""Packages that only some installations have: which are missing, and the command that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from migrator.errors import UsageError


def require_extra(extra: str, what: str, *packages: str) -> None:
    """Find out before the work is done, not after, that `what` cannot be had here. Raises UsageError."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f'{what} needs what is not installed: {", ".join(missing)}\n  pip install "migrator[{extra}]"',
            code="extra_missing",
        )
