"""What ships is whole: each fixture is what its SQL builds, and plans and mappings load wherever they are taken."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.mapping.document import load_mapping
from migrator.run.plan import load_plan

ROOT = Path(__file__).parents[2]
FIXTURES, PLANS, MAPPINGS = ROOT / "fixtures", ROOT / "plans", ROOT / "mappings"


def names(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*{suffix}")}


def contents(path: Path) -> dict[str, Any]:
    """The schema and all rows. Not `iterdump`: traps have more columns than it takes, and text that is no UTF-8."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        schema = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY rowid").fetchall()
        listed = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"
        rows = {}
        for (table,) in db.execute(listed).fetchall():
            # Without generated columns, which `table_info` leaves out: one of the traps' fails.
            columns = [quote(name) for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            db.text_factory = bytes
            rows[table] = db.execute(f"SELECT {', '.join(columns)} FROM {quote(table)}").fetchall()
            db.text_factory = str
        return {"schema": schema, **rows}


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_each_fixture_stands_beside_its_sql_and_has_a_plan() -> None:
    # The plan for the traps is the one that `suggest` writes (test_suggest.py).
    assert names(FIXTURES, ".sql") == names(FIXTURES, ".sqlite") == names(PLANS, ".yaml") | {"traps"}


@pytest.mark.parametrize("name", sorted(names(FIXTURES, ".sql")))
def test_the_committed_file_is_what_its_sql_builds(name: str, tmp_path: Path) -> None:
    for file in ("build.py", f"{name}.sql"):
        (tmp_path / file).write_bytes((FIXTURES / file).read_bytes())
    subprocess.run([sys.executable, str(tmp_path / "build.py")], check=True, timeout=60)
    assert contents(tmp_path / f"{name}.sqlite") == contents(FIXTURES / f"{name}.sqlite")


@pytest.mark.parametrize("name", sorted(names(PLANS, ".yaml")))
def test_a_plan_loads_and_leaves_the_target_to_the_aws_settings(name: str) -> None:
    plan = load_plan(PLANS / f"{name}.yaml")
    assert plan.name == name
    assert (plan.target.endpoint_url, plan.target.region, plan.target.profile, plan.target.role_arn) == (None,) * 4


def test_every_mapping_is_in_a_plan() -> None:
    used = {Path(mapping.file).name for plan in PLANS.glob("*.yaml") for mapping in load_plan(plan).mappings}
    assert used == {path.name for path in MAPPINGS.glob("*.yaml")}


@pytest.mark.parametrize(
    ("mapping", "variable", "value", "table"),
    [
        ("items", "ENVIRONMENT", None, "items-dev"),
        ("items", "ENVIRONMENT", "prod", "items-prod"),
        ("users", "DYNAMODB_TABLE", None, "aws-starter-kit-table"),
        ("users", "DYNAMODB_TABLE", "users-prod", "users-prod"),
        ("products", "ENVIRONMENT", "prod", "prod-products"),
        ("sessions", "ENVIRONMENT", None, "dev-sessions"),
        ("jobs", "DYNAMODB_TABLE_NAME", None, "CloudToolsJobs"),
        ("jobs", "DYNAMODB_TABLE_NAME", "tools-prod-jobs", "tools-prod-jobs"),
    ],
)
def test_the_environment_names_the_table(
    mapping: str, variable: str, value: str | None, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    if value:
        monkeypatch.setenv(variable, value)
    assert load_mapping(MAPPINGS / f"{mapping}.yaml").table.name == table
