"""Progress bars: on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def live_line() -> tqdm[Any]:
    """A line that is written over; for a terminal."""
    return tqdm(bar_format="{desc}", file=sys.stderr, leave=False)


def progress_bar(what: str, *, shown: bool, unit: str = "rows", total: int | None = None) -> tqdm[Any]:
    """A bar that counts; silent unless it is `shown` and a terminal looks on."""
    silent = not (shown and sys.stderr.isatty())
    return tqdm(desc=what, unit=f" {unit}", total=total, file=sys.stderr, disable=silent, leave=False)
