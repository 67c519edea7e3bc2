"""The pages as a person meets them: in a browser, on a phone, in the dark and on paper."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from browser import BrowserMissing, chromium
from engines import PROJECT

MADMALL = PROJECT / "fixtures" / "madmall.sqlite"
#: Names without a place to break a line, one in each place of a page that shows names.
WIDE = "w" * 300

SIZES = {"phone": (360, 740), "desk": (1280, 900)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a Chromium; skip where there is none."""
    try:
        with chromium() as browser:
            yield browser
    except BrowserMissing as error:
        pytest.skip(str(error))


def wide_file(folder: Path) -> Path:
    path = folder / "wide.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"CREATE TABLE {WIDE} (id TEXT PRIMARY KEY, {WIDE} TEXT)")
        connection.execute(f"CREATE TABLE child (id TEXT, {WIDE} REFERENCES {WIDE}, amount)")
        connection.execute(f"INSERT INTO {WIDE} VALUES (?1, ?1)", (WIDE,))
        connection.execute("INSERT INTO child VALUES (?1, 'gone', 9007199254740993), (NULL, ?1, 1e300)", (WIDE,))
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the commands write: of a real file, of one with monstrous names, of a run and of a dry run."""
    folder = tmp_path_factory.mktemp("pages")
    plan = folder / "madmall.yaml"
    plan.write_text((PROJECT / "plans/madmall.yaml").read_text(encoding="utf-8").replace("../", f"{PROJECT}/"))
    commands = {
        "madmall": ("analyze", str(MADMALL), "--format", "html", "-o"),
        "wide": ("analyze", str(wide_file(folder)), "--format", "html", "-o"),
        "run": ("run", str(plan), "--local", "--html"),
        "dry run": ("run", str(plan), "--local", "--dry-run", "--html"),
    }
    # No AWS settings, no running `migrator local` of a developer's.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    found = {name: folder / f"{name}.html" for name in commands}
    for name, command in commands.items():
        arguments = [sys.executable, "-m", "migrator", *command, str(found[name])]
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page as a screen of some size and colour shows it, and note what the browser complains of."""
    windows: list[Any] = []

    def look(page: Path, size: str, **view: Any) -> Any:
        width, height = SIZES[size]
        window = browser.new_page(viewport={"width": width, "height": height}, **view)
        windows.append(window)
        window.complaints = []
        window.on("console", lambda message: window.complaints.append(message.text))
        window.on("pageerror", lambda error: window.complaints.append(str(error)))
        window.on("requestfailed", lambda request: window.complaints.append(request.url))
        window.goto(page.as_uri())
        return window

    yield look
    for window in windows:
        window.close()


def background(window: Any) -> str:
    return str(window.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_pages_are_whole_in_every_light_and_size(pages: dict[str, Path], look: Callable[..., Any]) -> None:
    """No complaint of the browser, and nothing that makes the page itself scroll sideways."""
    wrong = []
    for name, page in pages.items():
        for size, (width, _) in SIZES.items():
            for scheme in ("light", "dark"):
                window = look(page, size, color_scheme=scheme)
                window.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
                if (found := window.evaluate("document.documentElement.scrollWidth")) > width:
                    wrong.append(f"{name}, {size}, {scheme}: {found} wide")
                wrong += [f"{name}, {size}, {scheme}: {complaint}" for complaint in window.complaints]
    assert wrong == []


def test_the_dark_is_dark_and_paper_is_white(pages: dict[str, Path], look: Callable[..., Any]) -> None:
    window = look(pages["run"], "desk", color_scheme="dark")
    screen = background(window)
    window.emulate_media(media="print", color_scheme="dark")
    assert (screen, background(window)) == ("rgb(21, 23, 26)", "rgb(255, 255, 255)")


def test_a_printed_page_has_what_is_folded_on_the_screen(pages: dict[str, Path], look: Callable[..., Any]) -> None:
    window = look(pages["madmall"], "desk")
    is_seen = "document.querySelector('#tables details:not([open]) td').checkVisibility()"
    on_screen = window.evaluate(is_seen)
    window.emulate_media(media="print")
    assert (on_screen, window.evaluate(is_seen)) == (False, True)


def test_a_page_asks_for_nothing_but_itself(pages: dict[str, Path], browser: Any) -> None:
    window = browser.new_page()
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    window.goto(pages["madmall"].as_uri())
    window.close()
    assert asked == [pages["madmall"].as_uri()]


def test_the_page_of_a_file_has_all_its_parts(pages: dict[str, Path], look: Callable[..., Any]) -> None:
    window = look(pages["madmall"], "desk")
    parts = ("diagram", "hazards", "design", "forecast", "sizes", "partitions", "tables")
    assert [part for part in parts if not window.locator(f"#{part}").is_visible()] == []
    assert window.locator("#diagram svg text").count() > 30
    assert window.locator(".workbench tbody tr").count() > 10
