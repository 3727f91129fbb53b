"""The boards of the campaigns, run once per session."""

from pathlib import Path

import pytest
from support import shared_folder

from campaigns.sample import Sample, sample, small_board
from robench.plugins import registrations_undone


@pytest.fixture(scope="session")
def _campaign_boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with shared_folder("campaigns", tmp_path_factory) as (root, is_new), registrations_undone():
        if is_new:
            sample(root)
            small_board(root)
    return root


@pytest.fixture
def made(_campaign_boards: Path) -> Sample:
    """The sample, with the code of its backbone loaded."""
    return sample(_campaign_boards)


@pytest.fixture
def small(_campaign_boards: Path) -> Path:
    """A board of few bytes, with the code of its backbone loaded."""
    return small_board(_campaign_boards)
