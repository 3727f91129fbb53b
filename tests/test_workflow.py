"""The workflow for repositories that accept rows: what makes it safe stays in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "workflows" / "check-submission.yml").read_text()
CODE = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))
FILES, WEIGHTS = CODE.split("\n  files:\n")[1].split("\n  weights:\n")


def test_it_runs_on_pull_requests_with_a_token_that_may_only_read() -> None:
    assert re.search(r"^on:\n  pull_request:", CODE, re.MULTILINE)
    assert "pull_request_target" not in CODE
    assert "workflow_run" not in CODE
    assert re.findall(r"^ *permissions:\n((?: +.*\n)+)", CODE, re.MULTILINE) == [
        "  contents: read\n"
    ]
    assert "write" not in CODE


def test_it_uses_no_secret_and_leaves_no_token_on_the_disk() -> None:
    assert "secrets" not in re.sub(r"name: .*", "", CODE)
    assert "github.token" not in CODE
    assert CODE.count("actions/checkout@") == CODE.count("persist-credentials: false") == 4


def test_actions_are_pinned_to_commits() -> None:
    used = re.findall(r"uses: (.*)", CODE)
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v[0-9.]+", action) for action in used)


def test_only_code_of_the_base_branch_is_installed() -> None:
    for job in (FILES, WEIGHTS):
        assert re.findall(r"pip install (.*)", job) == ["./base"]
        assert re.search(r"base\.sha \}\}\n +path: base\n", job)
        assert re.search(r"head\.sha \}\}\n +path: pull\n", job)
        assert "--trust-code" not in job
        assert "--plugin" not in job


def test_nothing_of_the_pull_request_is_put_into_a_command_line() -> None:
    for script in re.findall(r"run: (.*(?:\n {10}.*)*)", CODE):
        assert "${{" not in script


def test_files_are_checked_before_weights_are_attacked() -> None:
    assert 'check-submission "$folder" --rows 0' in FILES
    assert "needs: files" in WEIGHTS
    assert "--rows all" in WEIGHTS
    for job in (FILES, WEIGHTS):
        assert '--attacks-of "$BOARD"' in job
        assert "timeout-minutes:" in job
        assert "prlimit --as=" in job
        assert "python -P -m robench" in job


def test_weights_are_attacked_without_network_rights_and_environment() -> None:
    command = WEIGHTS.split("unshare", 1)[1]
    for part in ("--net", "--pid", "--no-new-privs", "--reuid=65534", "--clear-groups", "env -i"):
        assert part in command


def test_the_page_explains_it() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    assert "workflows/check-submission.yml" in page
    assert "docs/reliability.md" in (ROOT / "README.md").read_text()
