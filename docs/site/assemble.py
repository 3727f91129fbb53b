"""Assemble the pages: the files of the repository, with the links of the site and references."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from docs.site.board_keys import board_keys
from docs.site.commands import commands
from docs.site.entries import board_list, entry_pages
from docs.site.links import rewritten
from docs.site.notebook import as_page
from docs.site.pages import CONFIG, ROOT, pages
from docs.site.public_api import modules, public_api

GENERATED: dict[str, Callable[[str], str]] = {
    "board-keys": lambda _: board_keys(),
    "commands": lambda _: commands(),
    "entries": entry_pages,
    "boards": lambda _: board_list(),
    "public-api": public_api,
    "modules": modules,
}
"""What ``<!-- generated: NAME ARGUMENT -->`` in a page stands for."""

_MARK = re.compile(r"^<!-- generated: ([a-z-]+) ?(.*?) -->$", re.MULTILINE)
_ON_GITHUB = re.compile(r"^<!-- on GitHub -->\n.*?^<!-- end -->\n", re.MULTILINE | re.DOTALL)


def assemble(out: Path, repository: str = "") -> None:
    """Write the pages, the pictures that they show and the configuration into ``out``."""
    all_pages, pictures = pages(), set[str]()
    for page, file in all_pages.items():
        text = page_text(file)
        text, shown = rewritten(text, page, file, all_pages, repository)
        pictures |= shown
        _write(out / "pages" / page, text)
    for picture in pictures:
        target = out / "pages" / "pictures" / picture
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / picture, target)
    shutil.copytree(ROOT / "docs" / "site" / "styles", out / "pages" / "styles")
    _write(out / "zensical.toml", configuration(repository))


def page_text(file: Path) -> str:
    """Return the Markdown of a page, with what is generated."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return as_page(text) if file.suffix == ".ipynb" else generated(text)


def generated(text: str) -> str:
    """Return a page with what is generated, and without what only readers on GitHub need."""
    text = _ON_GITHUB.sub("", text)
    return _MARK.sub(lambda mark: GENERATED[mark.group(1)](mark.group(2)), text)


def configuration(repository: str) -> str:
    """Return the configuration of Zensical, with the repository's address if it is known."""
    text = CONFIG.read_text(encoding="utf-8")
    if not repository:
        return text
    return text.replace("[project]\n", f'[project]\nrepo_url = "{repository}"\n', 1)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
