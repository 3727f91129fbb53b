"""With too little memory a command succeeds, or says so in one sentence."""

import sys
from pathlib import Path

import pytest

from campaigns.memory import Ended, fault, half_written, robench
from campaigns.sample import PLUGIN


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc are Linux's")
def test_verify_with_a_megabyte_ends_in_one_sentence(small: Path) -> None:
    ended = robench(1, "verify", small, "--rows", "0", "--plugin", PLUGIN)
    assert ended.code == 2
    assert fault(ended) is None
    assert ended.err.startswith("robench: ")


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (Ended(0, "", ""), None),
        (Ended(2, "", "robench: out of memory; free some.\n"), None),
        (
            Ended(1, "", "Traceback (most recent call last):\nMemoryError\n"),
            "traceback: MemoryError",
        ),
        (Ended(-9, "", ""), "killed by signal 9"),
        (Ended(2, "", ""), "exit code 2: "),
        (Ended(1, "", "robench: wrong\n"), "exit code 1: robench: wrong"),
    ],
)
def test_only_success_and_one_sentence_are_right(ended: Ended, wrong: str | None) -> None:
    assert fault(ended) == wrong


def test_temporary_files_are_seen(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "weights.safetensors").touch()
    assert half_written(tmp_path) == []
    (tmp_path / ".weights.safetensors.ab12cd_3").touch()
    assert len(half_written(tmp_path)) == 1
