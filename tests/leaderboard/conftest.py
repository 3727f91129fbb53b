"""A small board that was actually run, for the tests of published boards."""

import shutil
from pathlib import Path

import pytest
from published_board import BOARD, Published

from robench.board.loading import read_board
from robench.leaderboard.evidence import SUMS
from robench.leaderboard.publish import write_leaderboard
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import write_submission
from robench.leaderboard.table import compare_rows, leaderboard
from robench.runs.run import run_board


@pytest.fixture(scope="session")
def finished_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds ``tiny``, the published folder, and ``cells``."""
    root = tmp_path_factory.mktemp("board")
    (root / "tiny.toml").write_text(BOARD)
    result = run_board(read_board(root / "tiny.toml"), out=root)
    comparison = compare_rows(result)
    write_leaderboard(result, leaderboard(result, comparison), comparison, root / "tiny")
    assert (root / "tiny" / SUMS).exists()
    return root


@pytest.fixture
def published(finished_board: Path, tmp_path: Path) -> Published:
    """Return a copy of the board's folder."""
    shutil.copytree(finished_board / "tiny", tmp_path / "tiny")
    return Published(tmp_path / "tiny", finished_board)


@pytest.fixture(scope="session")
def submission(finished_board: Path) -> Path:
    """Return a submission of the board's second row; tests copy it before they change it."""
    board = Leaderboard.read(finished_board / "tiny")
    write_submission(board, ["convnorm"], finished_board / "submission", [finished_board])
    return finished_board / "submission"
