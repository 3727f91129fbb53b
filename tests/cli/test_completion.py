"""What a shell completes after ``robench --install-completion``."""

import os
import subprocess
import sys

import pytest


def completed(words: str) -> list[str]:
    """Return what bash would offer at the end of a line."""
    asked = {
        "_ROBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = "import sys; sys.argv = ['robench']; from robench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("robench ver", ["verify"]),
        ("robench run paper-table1", ["paper-table1", "paper-table1-cpu", "paper-table1-gpu"]),
        ("robench status qui", ["quick"]),
        ("robench list da", ["datasets"]),
        ("robench run quick --dry", ["--dry-run"]),
    ],
)
def test_commands_boards_kinds_and_options_are_completed(words: str, offered: list[str]) -> None:
    assert completed(words) == offered


def test_a_board_of_ones_own_is_left_to_the_shell() -> None:
    assert completed("robench run my_bo") == []
