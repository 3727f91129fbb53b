"""All images of a row and of the board are tested together for changes in one direction."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

from robench.attack_tools.libraries import LibraryAttack
from robench.evaluation import Outcomes
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun import cell, run
from robench.leaderboard.rerun.cell import CellRerun
from robench.leaderboard.rerun.comparing import Changes, Conditions
from robench.leaderboard.rerun.pooling import Tally, pool_problems, sign_flip_p


def changes(fooled: int, resisted: int, images: int = 100, first: int = 0) -> Changes:
    """Return the changes of a column; the images that differ begin with the first."""
    published, found = np.zeros(images, bool), np.zeros(images, bool)
    published[first : first + fooled] = True
    found[first + fooled : first + fooled + resisted] = True
    both = (Outcomes.without_attack(robust) for robust in (published, found))
    return Changes.between(*both)


def tally(row: str, *columns: tuple[int, int]) -> Tally:
    """Return the tally of columns that differ on different images."""
    return Tally.of(row, [changes(*c, first=20 * i) for i, c in enumerate(columns)])


def test_a_few_images_in_each_column_are_too_many_for_a_row() -> None:
    stolen = [tally("a", (3, 0)), tally("a", (3, 0)), tally("a", (3, 0))]
    column = changes(3, 0, images=1000).verdict(Conditions(same_device=False))
    assert column.startswith("reproduced but for")
    [problem] = pool_problems(stolen)
    assert problem == (
        "the row 'a' is not reproduced with the published seeds: over all seeds and columns that "
        "were attacked again, 9 images are fooled here that are published as robust, and 0 the "
        "other way round (sign test, p = 0.0039)."
    )
    assert pool_problems(stolen[:2]) == []


def test_a_few_images_in_each_row_are_too_many_for_the_board() -> None:
    board = [tally(row, (2, 0), (1, 0)) for row in "abcd"]
    [problem] = pool_problems(board, seeds="the seed 7")
    assert problem.startswith("the board is not reproduced with the seed 7: ")
    assert "12 images are fooled" in problem


def test_a_row_whose_figures_are_too_low_is_not_reproduced_either() -> None:
    [problem] = pool_problems([tally("a", (0, 4), (0, 4), (1, 5)), tally("b", (9, 9))])
    assert problem.startswith("the row 'a' is not reproduced")
    assert "1 images are fooled here that are published as robust, and 13 the other" in problem


def test_images_that_are_lost_and_won_alike_are_reproduced() -> None:
    assert pool_problems([tally("a", (19, 19), (10, 8)), tally("b", (8, 12))]) == []
    assert pool_problems([]) == []
    assert pool_problems([Tally.of("a", [])]) == []


def test_an_image_counts_once_though_it_differs_in_several_columns() -> None:
    repeated = Tally.of("a", [changes(3, 1)] * 5)
    assert (repeated.fooled, repeated.resisted) == (15, 5)
    assert sign_flip_p(repeated.scores) == pytest.approx(10 / 16)
    assert pool_problems([repeated]) == []


def test_columns_with_fewer_images_are_pooled_and_incomplete_ones_are_left_out() -> None:
    pooled = Tally.of("a", [changes(2, 0, images=40), changes(3, 0), Changes(9, complete=False)])
    assert len(pooled.scores) == 100
    assert pooled.fooled == 5


def test_without_repetition_the_test_is_mcnemar_s() -> None:
    for fooled, resisted in ((0, 0), (1, 0), (7, 0), (28, 29), (130, 70), (0, 5)):
        scores = np.array([1] * fooled + [-1] * resisted + [0] * 10)
        expected = 1.0
        if fooled + resisted:
            expected = binomtest(fooled, fooled + resisted).pvalue
        assert sign_flip_p(scores) == pytest.approx(expected, abs=1e-12)


def test_a_rerun_pools_its_networks_for_published_and_for_fresh_seeds(
    finished_board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(board: Leaderboard, cell: PublishedCell, *_: object) -> CellRerun:
        return CellRerun(cell.row, tally=tally(cell.row, (5, 0)), fresh_tally=tally("x", (5, 5)))

    monkeypatch.setattr(run, "rerun_cell", few)
    board = Leaderboard.read(finished_board / "tiny")
    found = run.rerun(board, ["batchnorm", "convnorm"], fresh_seed=7)
    assert not found.sound
    [problem] = found.problems
    assert problem.startswith("the board is not reproduced with the published seeds: ")


@pytest.mark.parametrize(("there", "same"), [("3.3.4", True), ("3.3.3", False)])
def test_the_version_of_a_library_is_part_of_the_conditions_of_its_attacks(
    finished_board: Path, monkeypatch: pytest.MonkeyPatch, there: str, same: bool
) -> None:
    published = Leaderboard.read(finished_board / "tiny").cells[0]
    manifest = published.file.manifest
    assert manifest is not None
    here = manifest.environment | {"foolbox": "3.3.4"}
    monkeypatch.setattr(cell, "environment", lambda device: here)
    other = manifest.model_copy(update={"environment": here | {"foolbox": there}})
    file = published.file.model_copy(update={"manifest": other})
    found = SimpleNamespace(manifest=manifest)
    attacks = {"fgsm": LibraryAttack("foolbox:FGSM"), "pgd-2": None}
    ctx = SimpleNamespace(device=None, attacks=attacks)
    for column, expected in (("fgsm", same), ("pgd-2", True)):
        conditions = cell._conditions(column, replace(published, file=file), found, "rounding", ctx)
        assert conditions.same_device is expected
        assert conditions.library is (column == "fgsm")
