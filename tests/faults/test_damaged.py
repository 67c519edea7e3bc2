"""Files that something happened to, thousands of them: an answer that is right, or a clear error. Fault 7 and beyond.

For speed the command runs in this process, as the console script would call it; some run as real processes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from command import COMMAND_TIMEOUT_S, Migrator, environment
from damage import MAKERS, Verdict, Whole, endless_schema, make_whole, mutate, verdict_of, write
from migrator.cli.app import run_command
from migrator.source import readlock
from writers import beside

SCREEN_LINES = 24
ANSWERED = (0, 1)


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str


Command = Callable[..., Result]


def in_this_process(*arguments: str) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = run_command(arguments)
    return Result(exit_code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Case:
    """A damaged file, in a folder of its own beside the plans, and what SQLite says of it."""

    folder: Path
    verdict: Verdict | None
    whole: Whole
    command: Command

    @property
    def source(self) -> Path:
        return self.folder / "source" / "shop.sqlite"

    def asked(self, *arguments: str) -> Result:
        """What holds whatever the file: a code that is documented, one screen, and the file left alone."""
        before = beside(self.source)
        result = self.command(*arguments)
        assert beside(self.source) == before
        assert result.exit_code in ((0, 1, 2, 3) if self.verdict else (3,)), result.stderr
        assert "Traceback" not in result.stderr, result.stderr
        assert "this is a bug" not in result.stderr, result.stderr
        assert len(result.stderr.splitlines()) <= SCREEN_LINES, result.stderr
        return result

    def analyze(self) -> None:
        result = self.asked("analyze", str(self.source), "--format", "json")
        assert self.verdict is None or result.exit_code == 0, result.stderr
        if self.verdict:
            found = {t["name"]: t["rows"] for t in json.loads(result.stdout)["tables"] if t["kind"] != "view"}
            assert self.verdict.rows.keys() <= found.keys()
            assert self.verdict.rows.items() >= {name: n for name, n in found.items() if n is not None}.items()

    def suggest(self) -> None:
        design = self.folder / "design"
        result = self.asked("suggest", str(self.source), "--table", "shop", "-o", str(design), "--force")
        assert self.verdict is None or result.exit_code == 0, result.stderr
        if self.verdict:
            in_one_process(design / "plan.yaml")
            self.dry_run(design / "plan.yaml")

    def run(self) -> None:
        """By the plan of the whole file, as one that is scheduled would be."""
        result = self.dry_run(self.folder / "plan.yaml")
        if self.verdict and self.verdict.schema == verdict_of(self.whole.files).schema:
            assert result.exit_code in ANSWERED, result.stderr

    def dry_run(self, plan: Path) -> Result:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        result = self.asked("run", str(plan), "--dry-run", "--report", str(report))
        if self.verdict and result.exit_code in ANSWERED:
            found = json.loads(report.read_text(encoding="utf-8"))
            read = {entity["source"]: entity["read"] for entity in found["entities"]}
            assert self.verdict.rows.items() >= read.items()
            assert result.exit_code == bool(found["totals"]["rejected"])
        return result


def in_one_process(plan: Path) -> None:
    document = yaml.safe_load(plan.read_text(encoding="utf-8"))
    plan.write_text(json.dumps(document | {"settings": {"parallelism": 1}}), encoding="utf-8")


COMMANDS: Mapping[str, Callable[[Case], object]] = {
    "analyze": Case.analyze,
    "suggest": Case.suggest,
    "run": Case.run,
}


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    return {name: make_whole(name, tmp_path_factory.mktemp("whole")) for name in MAKERS}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, wholes: dict[str, Whole]) -> Path:
    """A folder with the plan that `suggest` makes for a whole file."""
    folder = tmp_path_factory.mktemp("shop")
    source = folder / "source" / "shop.sqlite"
    write(wholes["rollback journal"].files, source)
    made = in_this_process("suggest", str(source), "--table", "shop", "-o", str(folder))
    assert made.exit_code == 0, made.stderr
    in_one_process(folder / "plan.yaml")
    return folder


@pytest.fixture
def draw(
    shop: Path, wholes: dict[str, Whole], engine: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, Command], Case]:
    """The seed decides what file it is and what happens to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", engine)  # the dry run asks whether its table is there

    def drawn(seed: int, command: Command) -> Case:
        name = list(wholes)[seed % len(wholes)]
        done, files = mutate(wholes[name], seed)
        write(files, shop / "source" / "shop.sqlite")
        print(f"seed {seed}, {name}: {done}")
        return Case(shop, verdict_of(files), wholes[name], command)

    return drawn


def seeds(ask: str, first: int, count: int) -> Iterator[Any]:
    yield from (pytest.param(ask, seed, id=f"{ask}-{seed}") for seed in range(first, first + count))


@pytest.mark.parametrize(
    ("ask", "seed"), [*seeds("analyze", 0, 200), *seeds("suggest", 200, 100), *seeds("run", 300, 60)]
)
def test_07_a_damaged_file_is_told_or_read_right(draw: Callable[..., Case], ask: str, seed: int) -> None:
    COMMANDS[ask](draw(seed, in_this_process))


@pytest.mark.parametrize("seed", range(6))
def test_07_a_damaged_file_ends_a_real_process_in_the_same_way(
    draw: Callable[..., Case], lone: Command, seed: int
) -> None:
    draw(1000 + seed, lone).analyze()


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("hundred", range(20))
def test_07_two_thousand_damaged_files_are_told_or_read_right(draw: Callable[..., Case], hundred: int) -> None:
    for seed in range(100 * hundred, 100 * (hundred + 1)):
        case = draw(seed, in_this_process)
        for ask in COMMANDS.values():
            ask(case)


@pytest.fixture
def lone(tmp_path: Path) -> Command:
    """The command in a process of its own."""
    migrator = Migrator(tmp_path, environment(tmp_path))

    def ran(*arguments: str) -> Result:
        with migrator.start(*arguments) as process:
            try:
                stdout, stderr = process.communicate(timeout=COMMAND_TIMEOUT_S)
            finally:
                process.kill()
        return Result(process.returncode, stdout, stderr)

    return ran


# ---- files made to be endless


def test_07_a_schema_whose_pages_have_no_end_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readlock, "SCHEMA_LIMIT_S", 0.2)
    path = tmp_path / "endless.sqlite"
    path.write_bytes(endless_schema())
    result = in_this_process("analyze", str(path))
    assert (result.exit_code, "its schema is not read in 0.2 s" in result.stderr) == (3, True)
