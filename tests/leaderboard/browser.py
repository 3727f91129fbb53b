"""A headless Chromium for the tests of the page; they are skipped if none is installed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Opened:
    """A page in the browser, and what went wrong in it."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    """Console messages, script errors and dialogs."""
    requests: list[str] = field(default_factory=list)
    """All requests other than that for the file itself."""

    def shows(self, *titles: str) -> bool:
        """Return whether the table shows these rows, in this order, within seconds."""
        return self.comes(lambda: self.titles() == list(titles))

    def comes(self, condition: Callable[[], bool]) -> bool:
        """Return whether a condition becomes true within seconds; no script is run in the page."""
        for _ in range(60):
            if condition():
                return True
            self.page.wait_for_timeout(50)
        return False

    def titles(self) -> list[str]:
        """Return the names of the rows that the table shows, in its order."""
        return list(self.page.locator("#board tbody .open").all_inner_texts())


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the system's Chromium under Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium found; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, path: Path, address: str = "", **context: Any) -> Iterator[Opened]:
    """Open a file from disk.

    Args:
        browser: the browser started by :func:`chromium`.
        path: the HTML file.
        address: the part after the path, such as ``#row=NAME``.
        **context: options of the browser context, such as ``color_scheme`` and ``viewport``.
    """
    surroundings = browser.new_context(**context)
    seen = Opened(surroundings.new_page())
    uri = path.resolve().as_uri()
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))

    def dialog(box: Any) -> None:
        seen.complaints.append(f"dialog: {box.message}")
        box.dismiss()

    def request(asked: Any) -> None:
        if asked.url.split("#")[0] != uri:
            seen.requests.append(asked.url)

    seen.page.on("dialog", dialog)
    seen.page.on("request", request)
    seen.page.goto(uri + address)
    seen.page.wait_for_selector("#charts .plot svg")
    try:
        yield seen
    finally:
        surroundings.close()
