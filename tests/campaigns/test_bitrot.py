"""Damage to the files of a published board is found or refused."""

from pathlib import Path

import numpy as np
import pytest

from campaigns.bitrot import KINDS, SHARE_OF_FLIPS, damage, files_of, verdict


@pytest.mark.parametrize("kind", ["byte flipped", "truncated", "emptied", "removed", "swapped"])
def test_damage_is_found_or_refused_in_one_sentence(small: Path, kind: str) -> None:
    for seed in range(8 if kind == "byte flipped" else 3):
        detail, wrong = damage(small, kind, np.random.default_rng(seed))
        assert wrong is None, detail


def test_an_added_file_ends_in_no_traceback(small: Path) -> None:
    _, wrong = damage(small, "added", np.random.default_rng(0))
    assert wrong in (None, "not noticed")


def test_an_undamaged_board_would_be_counted_as_not_noticed(small: Path) -> None:
    assert verdict(small) == "not noticed"


def test_every_file_is_damaged_and_most_trials_flip_a_byte(small: Path) -> None:
    kinds = {path.relative_to(small).parts[0] for path in files_of(small)}
    assert {"board.json", "leaderboard.csv", "manifests", "outcomes", "SHA256SUMS"} <= kinds
    assert len(KINDS) == 6
    assert SHARE_OF_FLIPS == 0.9
