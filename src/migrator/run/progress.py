"""Progress bars: on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(what: str, *, shown: bool, unit: str = "rows") -> tqdm[Any]:
    """A bar that counts; silent unless it is `shown` and a terminal looks on."""
    return tqdm(desc=what, unit=f" {unit}", file=sys.stderr, disable=not (shown and sys.stderr.isatty()), leave=False)
