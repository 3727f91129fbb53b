"""Fixtures of all tests."""

import sys
from pathlib import Path

import pytest
import torch
from support import TINY_BOARD, Command, Finished


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
