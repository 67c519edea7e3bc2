"""The README is held to its word: its session gives what it shows, and its files load."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.mapping.document import load_mapping
from migrator.run.plan import load_plan

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

#: What differs from one run to the next: a run's id, and seconds.
VOLATILE = [(re.compile(r"\brun \w+-\w+ of"), "run ID of"), (re.compile(r"\b\d+\.\d$", re.MULTILINE), "SECONDS")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def iter_session() -> Iterator[tuple[str, str]]:
    """Each command of the README's sessions with the output that is shown."""
    for block in blocks("console"):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def steady(text: str) -> str:
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text


def test_the_session_gives_what_it_shows(tmp_path: Path) -> None:
    for folder in ("fixtures", "mappings", "plans"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".migrator"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    checker = doctest.OutputChecker()
    steps = list(iter_session())
    assert steps
    for command, shown in steps:
        arguments = command.split()
        assert arguments[0] == "migrator"
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        same = checker.check_output(steady(shown), steady(done.stdout), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        assert same, f"README says of `{command}`:\n{shown}\nbut it gives:\n{done.stdout}"


def test_the_mapping_and_the_plan_it_shows_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    mapping, plan = blocks("yaml")
    for name, text in (("mappings/shop.yaml", mapping), ("plans/shop.yaml", plan)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_mapping(tmp_path / "mappings/shop.yaml").table.name == "shop-dev"
    loaded = load_plan(tmp_path / "plans/shop.yaml")
    assert loaded.entity_names == ("Customer",)
    assert loaded.sources == (str(tmp_path / "shop.sqlite"),)


def test_every_command_it_names_exists() -> None:
    from migrator.cli.app import app

    named = set(re.findall(r"^(?:\$ )?migrator (\w+)", "".join([*blocks("sh"), *blocks("console")]), re.MULTILINE))
    assert named
    assert named <= set(app.commands)
