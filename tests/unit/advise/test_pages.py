"""The pages hold strangers' data: whatever it is, they stay pages, and show no more than they should."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from migrator.advise.analysis import analyze, to_json, to_text
from migrator.advise.discreet import without_values
from migrator.advise.model import Analysis
from migrator.advise.page import _environment, require_page
from migrator.advise.page_analysis import to_html
from migrator.advise.page_diagram import draw
from migrator.advise.page_run import to_html as run_to_html
from migrator.errors import UsageError
from migrator.run.rejects import RejectFile, RejectLine
from migrator.run.report import RunReport
from migrator.run.report_files import FileResult
from migrator.run.results import EntityResult, RunError
from migrator.run.setaside import SetAside
from migrator.target.timeline import Step, Timeline

EVIL = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
SECRET = "secret-value-of-a-row"

HOSTILE = (
    f'CREATE TABLE "{EVIL.replace(chr(34), chr(34) * 2)}" (id INTEGER PRIMARY KEY, "<b>bold</b>" TEXT, "" TEXT)',
    'CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES "{}", note TEXT)'.format(EVIL.replace('"', '""')),
    'INSERT INTO "{}" VALUES (1, ?1, ?1), (2, ?1, ?1)'.format(EVIL.replace('"', '""')),
    "INSERT INTO child VALUES (1, 1, ?1), (2, 1, ?1), (3, 7, ?1)",
)

REPORT = RunReport(
    run_id="r1",
    plan="shop",
    started_at=datetime(2026, 11, 21, tzinfo=UTC),
    finished_at=datetime(2026, 11, 21, tzinfo=UTC),
    duration_s=2.0,
    entities=(EntityResult("User", "main", "users", read=5, items=4, written=4, rejected=1),),
)


class Elements(HTMLParser):
    """Every element of a page, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def active(self) -> list[str]:
        """What could run or fetch something."""
        tags = [tag for tag, _ in self.found if tag in ("script", "img", "iframe", "link", "object")]
        handlers = [name for _, attributes in self.found for name in attributes if name.startswith("on")]
        addresses = [
            str(value)
            for _, attributes in self.found
            for name, value in attributes.items()
            if name in ("src", "href", "xlink:href") and not str(value).startswith("#")
        ]
        return tags + handlers + addresses


def hostile(folder: Path, value: str = EVIL) -> Analysis:
    path = folder / "hostile.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in HOSTILE:
            connection.execute(statement, (value,) if "?1" in statement else ())
    return analyze(path)


def dead_letters(folder: Path, detail: str) -> Path:
    path = folder / "rejects.jsonl"
    line = RejectLine("User", "users", "x.sqlite", {"id": {"S": detail}}, "email", "pattern", detail, "TEXT")
    with RejectFile(path) as rejects:
        rejects.append([line, line])
    return path


# ---- whatever the data is


def test_names_and_values_of_a_file_are_text_and_nothing_else(tmp_path: Path) -> None:
    page = Elements(to_html(hostile(tmp_path)))
    assert page.active() == []
    assert EVIL in page.text


def test_names_in_the_diagram_are_text_too(tmp_path: Path) -> None:
    html = to_html(hostile(tmp_path))
    diagram = html[html.index("<svg") : html.index("</svg>")]
    assert "&lt;/script&gt;" in diagram
    assert Elements(diagram).active() == []


def test_rejects_and_errors_of_a_run_are_text_and_nothing_else(tmp_path: Path) -> None:
    error = RunError("x", EVIL, retryable=False)
    report = replace(REPORT, plan=EVIL, rejects=str(dead_letters(tmp_path, EVIL)), error=error)
    page = Elements(run_to_html(report))
    assert page.active() == []
    assert page.text.count(EVIL) >= 3


def test_templates_escape_by_themselves() -> None:
    assert _environment().autoescape is True


def test_a_page_forbids_scripts_and_everything_from_elsewhere() -> None:
    (policy,) = (
        a for tag, a in Elements(run_to_html(REPORT)).found if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert str(policy["content"]).startswith("default-src 'none';")


# ---- without values


@pytest.mark.parametrize("write", [to_html, to_text, lambda found: str(to_json(found))])
def test_without_values_no_value_is_left_in_an_analysis(tmp_path: Path, write: Any) -> None:
    found = hostile(tmp_path, SECRET)
    assert SECRET in write(found)
    assert SECRET not in write(without_values(found))


def test_without_values_the_counts_stay(tmp_path: Path) -> None:
    found = hostile(tmp_path, SECRET)
    assert [table.rows for table in without_values(found).tables] == [table.rows for table in found.tables]
    assert [hazard.count for hazard in without_values(found).hazards] == [hazard.count for hazard in found.hazards]


def test_without_values_a_run_tells_reasons_but_not_rows(tmp_path: Path) -> None:
    report = replace(REPORT, rejects=str(dead_letters(tmp_path, SECRET)))
    assert SECRET in run_to_html(report)
    bare = run_to_html(report, values=False)
    assert SECRET not in bare
    assert "pattern" in bare


# ---- what a run's page shows


def test_rejects_are_counted_by_reason(tmp_path: Path) -> None:
    text = " ".join(Elements(run_to_html(replace(REPORT, rejects=str(dead_letters(tmp_path, "x"))))).text.split())
    assert "pattern User · email 2" in text


def test_what_was_not_sent_before_a_stop_is_told() -> None:
    (entity,) = REPORT.entities
    stopped = replace(REPORT, entities=[replace(entity, unsent=1234)], error=RunError("x", "stopped", retryable=True))
    assert "Rendered by then, and not sent: 1,234 more items." in Elements(run_to_html(stopped)).text
    assert "not sent" not in run_to_html(replace(stopped, entities=[entity]))


def test_of_many_files_the_first_are_listed_and_those_set_aside_named() -> None:
    read = [FileResult(f"/tenants/{n}.sqlite", "f00d") for n in range(30)]
    left_out = FileResult("/tenants/x.sqlite", error=SetAside("/tenants/x.sqlite", "document", "no <table>\n  hint"))
    page = run_to_html(replace(REPORT, sources=[*read, left_out]))
    assert (page.count("<dt>Source</dt>"), page.count("<dt>Set aside</dt>")) == (21, 1)
    assert "… 10 more" in page
    assert "/tenants/x.sqlite: no &lt;table&gt;<" in page


def test_throughput_is_drawn_where_there_are_samples() -> None:
    timeline = Timeline()
    timeline.add(0, Step(items=10, write_units=20.0, throttled=3))
    timeline.add(1, Step(items=30, write_units=20.0))
    page = run_to_html(replace(REPORT, timeline=timeline))
    assert "mean 20, peak 30" in page
    assert "3 answers" in page
    assert "Throughput" not in run_to_html(REPORT)


# ---- what it needs


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("jinja2", "py_mini_racer"):
        monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.usefixtures("without_extra")
def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(UsageError, match=r'jinja2.*\n.*pip install "migrator\[html\]"'):
        require_page()


def test_a_diagram_that_cannot_be_laid_out_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert draw("digraph { a [label=<<TABLE>] }") == ""
