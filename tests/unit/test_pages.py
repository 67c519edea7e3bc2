"""Pages that promise something about the code are held to it."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import migrator
from migrator.mapping.rejects import REJECT_CODES
from migrator.run.hooks import FACTS
from migrator.run.metrics import ENTITY_FIGURES, RUN_FIGURES
from migrator.run.metrics_prometheus import LAST_SUCCESS
from migrator.run.plan import load_plan

PACKAGE = Path(migrator.__file__).parent
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def iter_raised_codes() -> Iterator[tuple[str, str]]:
    """Each literal code of a `RowRejected(…)` in the package, and where it stands."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RowRejected":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield code.value, f"{path.relative_to(PACKAGE)}:{node.lineno}"


def documented_codes() -> set[str]:
    page = (DOCS / "rejects.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_every_reject_code_stands_in_the_page() -> None:
    assert documented_codes() == set(REJECT_CODES)


def test_every_code_that_a_row_is_rejected_with_is_documented() -> None:
    raised = list(iter_raised_codes())
    assert raised
    assert [where for code, where in raised if code not in documented_codes()] == []


def test_the_page_of_the_commands_is_what_help_says() -> None:
    spec = importlib.util.spec_from_file_location("build_cli", DOCS / "build_cli.py")
    assert spec is not None
    assert spec.loader is not None
    build_cli = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_cli)
    assert build_cli.main(check=True) == 0, "run `make docs`"


# ---- unattended.md


def unattended() -> str:
    return (DOCS / "unattended.md").read_text(encoding="utf-8")


def test_the_page_names_every_metric_and_no_other() -> None:
    figures = [*RUN_FIGURES, *ENTITY_FIGURES]
    own = {LAST_SUCCESS, "migrator_run_last_completion_timestamp_seconds", "migrator_run_exit_code"}
    told = set(re.findall(r"`(migrator_run_\w+)`", unattended()))
    assert told == own | {figure.prometheus for figure in figures}
    (cloudwatch,) = re.findall(r"by the dimension `plan`:(.*?)\. One line", unattended(), re.DOTALL)
    assert set(re.findall(r"`(\w+)`", cloudwatch)) == {"ExitCode"} | {figure.cloudwatch for figure in figures}


def test_the_page_names_every_result_of_rows_and_items() -> None:
    for name in ("rows", "items"):
        (told,) = re.findall(rf"^\| `migrator_run_{name}` .*`result`: (.*) \|$", unattended(), re.MULTILINE)
        assert re.findall(r"`(\w+)`", told) == [
            figure.count for figure in ENTITY_FIGURES if figure.prometheus == f"migrator_run_{name}"
        ]


def test_the_page_names_every_variable_that_a_command_is_given() -> None:
    assert re.findall(r"^\| `(MIGRATOR_\w+)`", unattended(), re.MULTILINE) == list(FACTS)


def test_the_settings_of_the_page_are_settings_of_a_plan(tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", unattended(), re.DOTALL) if "settings:" in block]
    assert len(blocks) == 2
    (tmp_path / "mapping.yaml").write_text(
        "table: {name: shop, partition_key: PK}\nentities: {A: {source: a, key: {PK: '{id}'}}}\n"
    )
    for block in blocks:
        (tmp_path / "plan.yaml").write_text(f"name: shop\nsource: a\nmappings: [mapping.yaml]\n{block}")
        load_plan(tmp_path / "plan.yaml")


@pytest.mark.parametrize(
    "page", [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def fault_tests() -> set[str]:
    """The tests that bear the number of a fault."""
    files = (ROOT / "tests" / "faults").glob("test_*.py")
    return {
        name for file in files for name in re.findall(r"^def (test_\d\d_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }


def fault_rows() -> dict[int, str]:
    """The last cell of each fault: its tests, or why there are none."""
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    return {int(number): cell for number, cell in rows}


def test_every_fault_has_its_tests_or_says_not_yet() -> None:
    rows = fault_rows()
    assert sorted(rows) == list(range(1, 58))
    assert [number for number, cell in rows.items() if not cell.startswith(("`test_", "not yet"))] == []


def test_the_page_of_faults_names_the_tests_that_there_are() -> None:
    named = {name: number for number, cell in fault_rows().items() for name in re.findall(r"`(\w+)`", cell)}
    assert set(named) == fault_tests()
    assert [name for name, number in named.items() if not name.startswith(f"test_{number:02}_")] == []
