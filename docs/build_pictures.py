"""Take the pictures of docs/pages.md: real pages of real runs, seen by a headless Chromium.

The run's table has a capacity that the source exceeds, so that throttling can be seen; tests/door.py plays it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from browser import chromium
from door import Door, Forward, Reply, Request
from door_faults import THROTTLED, WRITES
from migrator.cli.app import run_command
from migrator.target.embedded import embedded

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).with_name("img")
ORDERS = 9_000
CAPACITY = 700  # write units a second
BURST = 2_500

SOURCE = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT);
CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer, placed_at TEXT, status TEXT,
                      total TEXT);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
INSERT INTO customer SELECT i, 'Customer ' || i, iif(i % 97, 'c' || i || '@example.com', 'n/a') FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {orders})
INSERT INTO "order" SELECT i, iif(i % 1999, i * 7919 % 600 + 1, NULL), iif(i % 701, '2026-10-0' || (i % 9 + 1), 'soon'),
                           iif(i % 173, 'paid', 'lost'), (i % 500) || '.50' FROM n;
"""
MAPPING = """
version: 1
table: {name: shop, partition_key: PK, sort_key: SK}
entities:
  Customer:
    source: customer
    key: {PK: "CUSTOMER#{id}", SK: PROFILE}
    rules: {email: {pattern: "@"}}
  Order:
    source: order
    key: {PK: "CUSTOMER#{customer_id}", SK: "ORDER#{id|pad(6)}"}
    attributes: {placedAt: placed_at|iso8601, total: total|number}
    rules: {status: {one_of: [open, paid, sent]}}
"""
PLAN = """
version: 1
name: shop
source: shop.sqlite
mappings: [mapping.yaml]
settings: {state_dir: state}
"""


class Capacity:
    """A fault of the door: a bucket of write units, refilled with time, as provisioned tables have one."""

    def __init__(self) -> None:
        self._left: float = BURST
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, request: Request, forward: Forward) -> Reply:
        if request.operation in WRITES and not self._take(25):
            return Reply.error(THROTTLED, "The level of configured provisioned throughput was exceeded.")
        return forward(request)

    def _take(self, units: int) -> bool:
        with self._lock:
            now = time.monotonic()
            self._left = min(BURST, self._left + (now - self._at) * CAPACITY)
            self._at = now
            if self._left < units:
                return False
            self._left -= units
            return True


def make_pages(folder: Path) -> tuple[Path, Path]:
    """An analysis and a run, as the command line writes them."""
    analysis, run = folder / "analysis.html", folder / "run.html"
    run_command(["analyze", str(ROOT / "fixtures/madmall.sqlite"), "--format", "html", "-o", str(analysis)])
    with closing(sqlite3.connect(folder / "shop.sqlite")) as connection:
        connection.executescript(SOURCE.format(orders=ORDERS))
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
    with embedded(folder / "tables") as engine, Door(engine) as door:
        os.environ |= {"AWS_ENDPOINT_URL_DYNAMODB": door.url, "AWS_REGION": "us-east-1"}
        os.environ |= {"AWS_ACCESS_KEY_ID": "pictures", "AWS_SECRET_ACCESS_KEY": "pictures"}
        door.faults.append(Capacity())
        run_command(["run", str(folder / "plan.yaml"), "--html", str(run)])
    return analysis, run


def take(browser: Any, page: Path, name: str, at: str = "body", **view: Any) -> None:
    """A picture of the page from the section `at` on."""
    window = browser.new_page(**{"viewport": {"width": 1080, "height": 1000}} | view)
    window.goto(page.as_uri())
    window.evaluate("at => document.querySelector(at).scrollIntoView()", at)
    window.screenshot(path=PICTURES / name)
    window.close()


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    phone = {"viewport": {"width": 390, "height": 844}}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        analysis, run = make_pages(Path(folder))
        take(browser, analysis, "analysis.png", viewport={"width": 1080, "height": 1400})
        take(browser, analysis, "analysis-design.png", "#design")
        take(browser, analysis, "analysis-items.png", ".workbench", viewport={"width": 1080, "height": 640})
        take(browser, analysis, "analysis-dark.png", "#sizes", color_scheme="dark")
        take(browser, analysis, "analysis-phone.png", **phone)
        take(browser, run, "run.png", viewport={"width": 1080, "height": 1300})
        take(browser, run, "run-rejects.png", "#rejects", color_scheme="dark")


if __name__ == "__main__":
    main()
