"""One engine is enough here, behind the strict door: what fails is the source or the process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import engines
from command import environment, through
from door import Door
from migration import Migration


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Dynalite, which refuses the most and is the quickest; where it is not installed, moto."""
    if os.environ.get("DYNAMODB_ENDPOINT"):
        return os.environ["DYNAMODB_ENDPOINT"]
    return request.getfixturevalue("dynalite_url" if engines.dynalite_is_installed() else "moto_url")


@pytest.fixture
def migration(tmp_path: Path, door: Door, dynamodb: Any) -> Migration:
    """A folder for source and plan, and the command pointed at the door."""
    (tmp_path / "source").mkdir()
    return Migration(tmp_path, through(door, tmp_path, environment(tmp_path)), door, dynamodb)
