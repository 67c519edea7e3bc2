"""Whole runs inside this process: a plan of the test's own, on moto behind the strict door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from door import Door
from shop import Shop, open_shop


@pytest.fixture
def door(moto_url: str) -> Iterator[Door]:
    """In front of one engine: what another one does makes no difference to what is tested here."""
    with Door(moto_url) as door:
        yield door


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, door: Door) -> Iterator[Shop]:
    """A shop whose source is what the module's SOURCE makes; without one the test makes it."""
    script = getattr(request.module, "SOURCE", None)
    with open_shop(tmp_path, door.url, *filter(None, [script])) as shop:
        yield shop
        door.faults.clear()
