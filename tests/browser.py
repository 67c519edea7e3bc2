"""A headless Chromium that looks at pages, for tests and for the pictures of the documents."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


class BrowserMissing(Exception):
    """There is no Chromium here; the text says what would install it."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Give playwright's browser on the Chromium of the system: playwright's own would have to be downloaded."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise BrowserMissing("Chromium is not installed (make browser; needs apt-get and root)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers lack what its sandbox needs, and it opens only files that we have written.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
