"""docs/systems.md is held to its word: its commands, on the embedded DynamoDB, end as it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
#: system, its commands, how the last of them ends
ROWS = re.findall(r"^\| ([\w ]+) \| (`migrator .+`) \| `(access patterns: .+)` \|$", PAGE, re.MULTILINE)


def test_every_plan_that_ships_is_on_the_page() -> None:
    named = {Path(plan).name for _, commands, _ in ROWS for plan in re.findall(r"plans/\w+\.yaml", commands)}
    assert named == {plan.name for plan in (ROOT / "plans").glob("*.yaml")}


@pytest.mark.parametrize(("commands", "end"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_commands_of_a_system_end_as_the_page_says(
    lone_migrator: Any, shipped_plan: Any, commands: str, end: str
) -> None:
    typed = re.findall(r"`migrator (\w+) plans/(\w+)\.yaml (--local)`", commands)
    run, verify = (lone_migrator(command, shipped_plan(plan), option) for command, plan, option in typed)
    assert (run.exit_code, run.report["status"]) == (0, "succeeded"), run.stderr
    assert (verify.exit_code, verify.report["status"]) == (0, "equal"), verify.stdout
    assert verify.stdout.splitlines()[-1] == end
