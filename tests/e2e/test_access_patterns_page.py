"""The page on access patterns is true: its example loads, fits a source, and is answered."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from migrator.mapping.document import load_mapping
from migrator.mapping.patterns import COMPARISONS, PATTERN_KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "access-patterns.md").read_text(encoding="utf-8")
PLAN = "version: 1\nname: shop\nsource: shop.sqlite\nmappings: [shop.yaml]\nsettings: {parallelism: 1}\n"
SOURCE = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, state TEXT, total REAL, placed_at TEXT, paid INTEGER,
                     coupon TEXT);
INSERT INTO customers VALUES (1, 'Ann', ' Ann@A.example'), (7, 'Bob', 'bob@a.example');
INSERT INTO orders VALUES (1, 1, 'open', 10, '2024-01-01', 1, 'SUMMER24'), (2, 1, 'open', 99.5, '2024-01-02', 0, NULL),
    (3, 7, 'open', 100, '2024-02-01', 1, NULL), (4, 7, 'open', 20, '2024-02-01', 0, NULL),
    (5, 7, 'sent', 5, '2024-02-02', 1, 'SUMMER23');
"""


def example(folder: Path) -> Path:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = folder / "shop.yaml"
    path.write_text(block, encoding="utf-8")
    return path


def test_the_example_shows_every_key_of_the_language(tmp_path: Path) -> None:
    load_mapping(example(tmp_path))
    text = example(tmp_path).read_text(encoding="utf-8").partition("access_patterns:")[2]
    assert [key for key in PATTERN_KEYS if f" {key}:" not in text] == []


def test_every_key_and_comparison_is_explained() -> None:
    explained = PAGE.partition("## The language")[2]
    assert [key for key in PATTERN_KEYS if f"`{key}`" not in explained] == []
    assert [name for name in COMPARISONS if f"`{{{name}: " not in explained] == []


def test_the_example_is_answered(migrator: Any, tmp_path: Path) -> None:
    example(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.executescript(SOURCE)
    assert migrator("run", tmp_path / "plan.yaml").exit_code == 0
    verified = migrator("verify", tmp_path / "plan.yaml")
    assert verified.stdout.splitlines()[-1] == "access patterns: 7 of 7 agree"
    assert verified.exit_code == 0


def test_the_report_has_the_keys_that_the_page_lists(migrator: Any, tmp_path: Path) -> None:
    (listed,) = re.findall(r'`\{("name".*?)\}`', PAGE)
    names = re.findall(r'"(\w+)"', listed.partition("[")[0])
    example(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.executescript(SOURCE)
    migrator("run", tmp_path / "plan.yaml")
    report = migrator("verify", tmp_path / "plan.yaml", "--entity", "Customer").report
    assert list(report["access_patterns"][0]) == names
    assert json.dumps(report["access_patterns"][0]["differences"]) == "[]"
