"""A small board that was actually run, for the tests of published boards."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from published_board import BOARD, Published
from support import few_queries, shared_folder
from weak_board import WEAK, Weak, attacked

from robench.board.loading import read_board
from robench.commands.challenge import write_clean
from robench.leaderboard.evidence import SUMS
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import write_submission
from robench.runs.run import run_board


@pytest.fixture(autouse=True)
def _checked_like_the_board(few_queries: None) -> None:
    """Networks are checked again as they were for the board."""


@pytest.fixture(scope="session")
def finished_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny``, the published folder, beside ``cells``."""
    with shared_folder("finished_board", tmp_path_factory) as (root, is_new), few_queries():
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


@pytest.fixture(scope="session")
def weak_board(finished_board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``cells``, ``weak`` and ``adversarial.npz``: images that PGD finds against the first row."""
    with shared_folder("weak_board", tmp_path_factory) as (root, is_new), few_queries():
        if is_new:
            root.mkdir()
            shutil.copytree(finished_board / "cells", root / "cells")
            (root / "weak.toml").write_text(WEAK)
            publish(run_board(read_board(root / "weak.toml"), out=root), root / "weak")
            write_clean(root / "weak", root / "clean.npz")
            clean = dict(np.load(root / "clean.npz"))
            found = attacked(root, clean["images"], clean["labels"])
            known = {"clean": clean["images"], "labels": clean["labels"]}
            np.savez(root / "adversarial.npz", images=found, **known)
    return root


@pytest.fixture
def weak(weak_board: Path, tmp_path: Path) -> Weak:
    """A copy of the board that a test may change."""
    shutil.copytree(weak_board / "weak", tmp_path / "weak")
    known = np.load(weak_board / "adversarial.npz")
    return Weak(tmp_path / "weak", known["images"], known["labels"], known["clean"])


@pytest.fixture
def store(weak_board: Path) -> list[Path]:
    """The stores that have the weights."""
    return [weak_board]
