"""Take a screenshot: python docs/screenshot.py leaderboards/quick/page.html docs/page.png.

Requires Playwright (``pip install -e '.[test]'``) and Chromium installed on the system.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(page: str, target: str) -> None:
    """Write the top of the page, with table and charts, as a PNG file."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        shown = browser.new_page(viewport={"width": 1180, "height": 1500}, color_scheme="light")
        shown.goto(Path(page).resolve().as_uri())
        shown.wait_for_timeout(500)
        shown.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
