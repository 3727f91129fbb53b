"""Links between pages: from paths in the repository, as GitHub follows them, to those of the site.

A link to the file of a page becomes a link to the page, one to a picture takes the picture along,
and one to anything else in the repository leads there, if its address is known.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

PICTURES = {".svg", ".png"}

_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\((?![a-z]+:)([^)\s#]*)(#[^)\s]*)?\)")
_EXTERNAL = re.compile(r"\[([^\]]*)\]\(repository:([^)]*)\)")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return ``text`` with ``change`` applied to all that is neither a code block nor code."""
    # The text of a link may be code, so that only what is between fences and links is cut out.
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def targets(text: str) -> list[tuple[str, str]]:
    """Return the (path, anchor) of each link that is relative, without those in code."""
    found: list[tuple[str, str]] = []

    def note(part: str) -> str:
        plain = _CODE.sub(lambda code: "" if "](" in code.group() else code.group(), part)
        found.extend((path, anchor or "") for path, anchor in _LINK.findall(plain))
        return part

    outside_code(text, note)
    return found


def in_repository(file: Path, path: str) -> str:
    """Return the path from the root of what ``file`` links to as ``path``; "." is the root."""
    return posixpath.normpath(posixpath.join(file.parent.as_posix(), path))


def rewritten(
    text: str, page: str, file: Path, pages: Mapping[str, Path], repository: str
) -> tuple[str, set[str]]:
    """Return the text of a page with the links of the site, and the pictures that it shows.

    Args:
        text: Markdown.
        page: its path on the site.
        file: its path in the repository.
        pages: page -> file, of the whole site.
        repository: the URL of the repository on GitHub; empty if it is not known, which leaves
            the names of its files without a link.
    """
    page_of = {source.as_posix(): name for name, source in pages.items()}
    pictures: set[str] = set()

    def link(match: re.Match[str]) -> str:
        path, anchor = match.group(1), match.group(2) or ""
        if not path:
            return match.group()
        target = in_repository(file, path)
        if target in page_of:
            return f"]({_relative(page, page_of[target])}{anchor})"
        if PurePosixPath(target).suffix in PICTURES:
            pictures.add(target)
            return f"]({_relative(page, f'pictures/{target}')})"
        return f"](repository:{target}{anchor})"

    def external(match: re.Match[str]) -> str:
        words, target = match.groups()
        return f"[{words}]({repository}/blob/HEAD/{target})" if repository else words

    def change(part: str) -> str:
        return _EXTERNAL.sub(external, _LINK.sub(link, part))

    return outside_code(text, change), pictures


def _relative(page: str, target: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")
