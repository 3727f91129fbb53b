"""The site without the program that builds it: every page is there, and no link leads astray."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import robench
from docs.site.assemble import assemble, page_text
from docs.site.board_keys import board_keys
from docs.site.commands import commands
from docs.site.entries import entry_pages
from docs.site.links import in_repository, rewritten, targets
from docs.site.pages import ROOT, pages
from docs.site.public_api import public_names
from robench import registry as registries
from robench.board.board import Board
from robench.board.goal import Goal
from robench.board.specs import DataSpec, EvaluationSpec, TrainingSpec
from robench.cli.options import ORDER
from robench.commands.verify import TRUSTED

pytestmark = pytest.mark.usefixtures("only_the_suite")  # the reference has what is registered

PAGES = pages()
TUTORIAL = ROOT / "docs" / "tutorials" / "leaderboard.md"


@cache
def text_of(page: str) -> str:
    return page_text(PAGES[page])


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub and the site name them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles]
    return {"#" + re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in words}


def links() -> Iterator[tuple[str, str, str]]:
    """Yield (page, target in the repository, anchor) for each link of the site."""
    for page, file in PAGES.items():
        for path, anchor in targets(text_of(page)):
            yield page, in_repository(file, path) if path else file.as_posix(), anchor


def test_every_page_of_the_navigation_has_its_file() -> None:
    assert [page for page, file in PAGES.items() if not (ROOT / file).is_file()] == []


def test_every_page_of_the_folder_is_in_the_navigation() -> None:
    written = {path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md")}
    assert written - set(PAGES.values()) == set()


def test_links_lead_to_files_that_are_there() -> None:
    assert [(page, target) for page, target, _ in links() if not (ROOT / target).exists()] == []


def test_anchors_are_those_of_headings() -> None:
    page_of = {file.as_posix(): page for page, file in PAGES.items()}
    missing = [
        (page, target, anchor)
        for page, target, anchor in links()
        if anchor and target in page_of and anchor not in anchors(text_of(page_of[target]))
    ]
    assert missing == []


def test_anchors_are_there_where_the_pages_are_read_in_the_repository() -> None:
    texts = {file.as_posix(): (ROOT / file).read_text() for file in PAGES.values()}
    missing = [
        (file, target, anchor)
        for file, text in texts.items()
        for path, anchor in targets(text)
        if (target := in_repository(Path(file), path) if path else file) in texts
        and anchor
        and anchor not in anchors(texts[target])
    ]
    assert missing == []


def test_what_verify_takes_on_trust_is_printed_as_it_is_today() -> None:
    said = f"taken on trust: {'; '.join(TRUSTED)}."
    printed = re.findall(r"^taken on trust: .*$", TUTORIAL.read_text(),
                         re.MULTILINE)  # fmt: skip
    assert len(printed) == 3
    assert set(printed) == {said}


def test_links_in_code_are_left_alone() -> None:
    text = "```md\n[a](x.md)\n```\n`[b](y.md)` and [`c`](z.md#d)"
    assert targets(text) == [("z.md", "#d")]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](../scale.md#x)", "[a](../scale.md#x)"),
        ("[a](../../CONTRIBUTING.md)", "[a](../project/contributing.md)"),
        ("![a](../page.png)", "![a](../pictures/docs/page.png)"),
        ("[a](../../setup.py)", "[a](https://example.com/robench/blob/HEAD/setup.py)"),
        ("[a](#here)", "[a](#here)"),
        ("[a](https://example.com)", "[a](https://example.com)"),
    ],
)
def test_links_are_those_of_the_site(link: str, expected: str) -> None:
    page, file = "how-to/images.md", Path("docs/how-to/images.md")
    text, _ = rewritten(link, page, file, PAGES, "https://example.com/robench")
    assert text == expected


def test_without_an_address_a_file_of_the_repository_is_named_only() -> None:
    text, _ = rewritten(
        "see [the file](../setup.py)", "checks.md", Path("docs/checks.md"), PAGES, ""
    )
    assert text == "see the file"


def test_the_reference_has_every_key_with_its_limits_and_default() -> None:
    text = board_keys()
    for spec in (Board, DataSpec, TrainingSpec, EvaluationSpec, Goal):
        assert all(f"| `{key}` | " in text for key in spec.model_fields)
    assert "` |  | " not in text, "a key without a meaning: give its field a docstring"
    assert "| `title` | What the board is, in one line. | a text, at most" in text
    assert "| `eps` |" in text
    assert "| `8/255` |" in text
    assert "likewise. | `true` or `false` | `false` |" in text
    assert "Who made the board" in text


def test_the_reference_has_every_command_and_its_options() -> None:
    text = commands()
    assert all(f"## `robench {name}" in text for name in ORDER)
    assert "## `robench new defense`" in text
    assert "| `--fresh` |" in text


@pytest.mark.parametrize(
    "room", ["defenses", "attacks", "datasets", "backbones", "checks", "training_methods"]
)
def test_the_reference_has_every_entry(room: str) -> None:
    text = entry_pages(room)
    assert all(f"## `{name}`" in text for name in vars(registries)[room])


def test_the_reference_has_every_public_name() -> None:
    shown = re.findall(
        r"^::: robench(?:\.\w+)*\.(\w+)$", text_of("reference/python.md"), re.MULTILINE
    )
    assert sorted(shown) == sorted(name for _, name in public_names()) == sorted(robench.__all__)


def test_the_assembled_folder_is_complete(tmp_path: Path) -> None:
    assemble(tmp_path, "https://example.com/robench")
    assert all((tmp_path / "pages" / page).is_file() for page in PAGES)
    assert (tmp_path / "pages" / "pictures" / "docs" / "quick.svg").is_file()
    assert "<!-- generated" not in (tmp_path / "pages" / "reference" / "board.md").read_text()
    assert 'repo_url = "https://example.com/robench"' in (tmp_path / "zensical.toml").read_text()
