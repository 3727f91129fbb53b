"""Cells whose training is said to have diverged: no figure of theirs is published."""

import json
import shutil
from pathlib import Path

import pytest
from forging import made_consistent
from published_board import Published

from robench.errors import UserError
from robench.leaderboard.audit import audit, unchecked
from robench.leaderboard.published import Leaderboard
from robench.training.divergence import DIVERGED_AFTER


def diverged(folder: Path, reason: str) -> Leaderboard:
    """Let a row of a board have diverged, and all that follows from it be so."""
    path = folder / "manifests/convnorm-seed0.json"
    values = json.loads(path.read_text())
    shutil.rmtree(folder / "outcomes" / values["manifest"]["specification"])
    values |= {"manifest": None, "training": [], "checks": None, "spectra": []}
    values["diverged"] = {"reason": reason, "version": "123456789abc"}
    path.write_text(json.dumps(values))
    return Leaderboard.read(made_consistent(folder))


def test_a_claim_that_no_training_makes_is_wrong(published: Published) -> None:
    [found] = audit(diverged(published.folder, "the loss is nan in epoch 99"))
    assert found.startswith("'convnorm', seed 0: no training ends with the reason 'the loss is nan")


def test_an_epoch_beyond_the_recipe_is_wrong(published: Published) -> None:
    [found] = audit(diverged(published.folder, DIVERGED_AFTER.with_count(2)))
    assert found == "'convnorm', seed 0: it diverged after epoch 2, but its training has 1."


def test_a_possible_claim_is_said_to_be_on_trust(published: Published) -> None:
    board = diverged(published.folder, DIVERGED_AFTER.with_count(1))
    assert audit(board) == []
    assert "that 'convnorm', seed 0, diverged is on trust" in " ".join(unchecked(board))


def test_a_cell_without_figures_and_without_a_reason_is_refused(published: Published) -> None:
    path = published.folder / "manifests/convnorm-seed0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"manifest": None}))
    published.sum_up()
    with pytest.raises(UserError, match="a manifest or the reason why it diverged, and this one"):
        Leaderboard.read(published.folder)


@pytest.mark.parametrize("text", ["", "nan", "the loss is not finite after epoch 0", "epoch 3"])
def test_other_text_names_no_epoch(text: str) -> None:
    assert DIVERGED_AFTER.count_in(text) is None
    assert DIVERGED_AFTER.count_in(DIVERGED_AFTER.with_count(3)) == 3
