"""Chinook, a real file with all its foreign keys, folded into one table on each engine."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chinook.oracle_chinook import ENTITIES, QUESTIONS, connect, expected_items

PLAN = Path(__file__).parents[1] / "chinook" / "plan.yaml"
SOURCE = Path(os.environ.get("MIGRATOR_REAL_DATA", "/nonexistent")) / "chinook.sqlite"
TABLE = "chinook-e2e"

# Four in five of the items are playlist entries; moto takes a minute to write them twice.
BUT_PLAYLIST_TRACKS = [word for name in ENTITIES if name != "PlaylistTrack" for word in ("--entity", name)]

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="MIGRATOR_REAL_DATA names no folder with chinook.sqlite")


@pytest.fixture
def chinook(migrator: Any, tmp_path: Path) -> Any:
    settings = {"MIGRATOR_REAL_DATA": str(SOURCE.parent), "CHINOOK_STATE_DIR": str(tmp_path / "state")}
    return replace(migrator, environment={**migrator.environment, **settings})


def test_the_table_equals_a_plain_rendering_and_answers_every_question(
    chinook: Any, door: Any, dynamodb: Any, scan: Any, differences: Any
) -> None:
    run = chinook("run", PLAN)
    assert run.exit_code == 0, run.stderr
    assert door.refused == []
    assert differences(scan(TABLE), expected_items(SOURCE)) == []
    with closing(connect(SOURCE)) as db:
        for question in QUESTIONS:
            expected = question.expected(db)
            assert expected, question.name
            assert question.ask(dynamodb, TABLE) == expected, question.name
        counts = {name: sum(1 for _ in render(db)) for name, render in ENTITIES.items()}
    assert {e["entity"]: e["written"] for e in run.report["entities"] if e["source"]} == counts


def test_verify_finds_no_difference_and_running_again_changes_nothing(
    chinook: Any, door: Any, scan: Any, differences: Any
) -> None:
    assert chinook("run", PLAN, *BUT_PLAYLIST_TRACKS).exit_code == 0
    first = scan(TABLE)
    verify = chinook("verify", PLAN, *BUT_PLAYLIST_TRACKS)
    assert verify.exit_code == 0, verify.stdout + verify.stderr
    assert chinook("run", PLAN, *BUT_PLAYLIST_TRACKS).exit_code == 0
    assert door.refused == []
    assert differences(scan(TABLE), first) == []
