"""What several tests share: a tiny board on scikit-learn's digits, and the command line."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

TINY_BOARD = """
title = "tiny"
defenses = ["batchnorm", "convnorm"]
seeds = [0]

[data]
name = "digits"

[model]
name = "resnet18"
width = 4

[training]
epochs = 2
schedule = "one-cycle"
replays = 2
eps = 0.1
step_size = 0.1

[evaluation]
attacks = ["fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"]
samples = 60
rank_by = "pgd-4"

[evaluation.defaults]
eps = 0.1
step_size = 0.05
"""


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # the nets of the tests are too small for more


@pytest.fixture
def tiny_board(tmp_path: Path) -> Path:
    """A board that trains and attacks in seconds."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "board.toml").write_text(TINY_BOARD)
    return folder


@pytest.fixture
def robench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in this process: ``robench("run", "quick")``."""
    from robench.cli import main

    def command(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["robench", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Finished(code, printed.out, printed.err)

    return command
