"""A small board that was actually run, for the tests of published boards."""

import shutil
from pathlib import Path

import pytest
from published_board import BOARD, Published
from support import shared_folder

from robench.board.loading import read_board
from robench.leaderboard.evidence import SUMS
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import write_submission
from robench.runs.run import run_board


@pytest.fixture(scope="session")
def finished_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny``, the published folder, beside ``cells``."""
    with shared_folder("finished_board", tmp_path_factory) as (root, is_new):
        if is_new:
            root.mkdir()
            (root / "tiny.toml").write_text(BOARD)
            publish(run_board(read_board(root / "tiny.toml"), out=root), root / "tiny")
            assert (root / "tiny" / SUMS).exists()
            # A submission of the second row; tests copy it before they change it.
            board = Leaderboard.read(root / "tiny")
            write_submission(board, ["convnorm"], root / "submission", [root])
    return root


@pytest.fixture
def published(finished_board: Path, tmp_path: Path) -> Published:
    """Return a copy of the board's folder."""
    shutil.copytree(finished_board / "tiny", tmp_path / "tiny")
    return Published(tmp_path / "tiny", finished_board)


@pytest.fixture(scope="session")
def submission(finished_board: Path) -> Path:
    """A submission of the board's second row; tests copy it before they change it."""
    return finished_board / "submission"
