"""The workflows of the project itself: pinned, without secrets, and only one job may publish."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
RELEASE = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
DOCS = (ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8")
BUILD, PUBLISH = RELEASE.split("\n  publish:\n")


def test_actions_are_pinned_to_commits() -> None:
    for text in (RELEASE, DOCS):
        used = re.findall(r"uses: (.*)", text)
        assert used
        assert all(re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9.]+", u) for u in used)


def test_only_the_job_that_runs_no_code_of_the_repository_may_ask_for_a_token() -> None:
    assert "id-token" not in BUILD
    assert "id-token: write" in PUBLISH
    assert "run:" not in PUBLISH
    assert "checkout" not in PUBLISH
    assert "secrets." not in RELEASE + DOCS


def test_what_is_published_was_built_and_checked() -> None:
    assert "needs: build" in PUBLISH
    assert BUILD.index("python -m build") < BUILD.index("twine check --strict")


def test_nothing_that_a_stranger_writes_is_put_into_a_command_line() -> None:
    for text in (RELEASE, DOCS):
        assert not re.search(r"run: .*\$\{\{", text)


def test_the_citation_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in citation
