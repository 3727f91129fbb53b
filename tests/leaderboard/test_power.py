"""Power analysis: the samples and seeds that a comparison needs."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestIndPower
from support import Command

import robench as package
from robench.errors import UserError
from robench.leaderboard.power import (
    EXACT,
    SPREADS,
    corrected,
    mcnemar_power,
    planned,
    samples_needed,
    seeds_needed,
)

BOARDS = Path(package.__file__).resolve().parents[1] / "leaderboards"


def test_the_planned_samples_find_the_difference_as_often_as_promised() -> None:
    difference, disagreement = 0.03, 0.1
    samples = samples_needed(difference, disagreement, power=0.8)
    rng, found = np.random.default_rng(0), 0
    for _ in range(400):
        draws = rng.random(samples)
        better = int((draws < (disagreement + difference) / 2).sum())
        worse = int((draws > 1 - (disagreement - difference) / 2).sum())
        found += mcnemar([[0, better], [worse, 0]], exact=False, correction=False).pvalue < 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(
    ("difference", "disagreement"), [(0.01, 0.02), (0.05, 0.1), (0.2, 0.2), (0.5, 0.5)]
)
def test_the_exact_test_has_the_power_with_the_planned_samples_and_not_with_fewer(
    difference: float, disagreement: float
) -> None:
    samples = samples_needed(difference, disagreement, power=0.8)
    rng, wins = np.random.default_rng(0), (1 + difference / disagreement) / 2
    for count, enough in ((samples, True), (round(0.85 * samples), False)):
        unlike = rng.binomial(count, disagreement, 20_000)
        better = rng.binomial(unlike, wins)
        pairs, times = np.unique(np.stack([better, unlike], 1), axis=0, return_counts=True)
        p = [binomtest(int(b), int(n)).pvalue if n else 1.0 for b, n in pairs]
        found = times[np.array(p) < 0.05].sum() / times.sum()
        assert (found > 0.79) == enough


@pytest.mark.parametrize(("difference", "disagreement"), [(0.01, 0.26), (0.002, 0.0105)])
def test_beyond_the_exact_sum_the_plan_goes_on_without_a_jump(
    difference: float, disagreement: float
) -> None:
    count = samples_needed(difference, disagreement)
    assert count > EXACT
    assert mcnemar_power(count, difference, disagreement, 0.05) >= 0.799
    assert mcnemar_power(round(0.985 * count), difference, disagreement, 0.05) < 0.8


def test_smaller_differences_need_more_and_so_does_more_noise() -> None:
    assert samples_needed(0.01, 0.1) > 3 * samples_needed(0.02, 0.1)
    assert samples_needed(0.02, 0.2) > samples_needed(0.02, 0.1)
    assert seeds_needed(0.01, 0.01) > seeds_needed(0.02, 0.01)
    assert seeds_needed(0.01, 0.02) > seeds_needed(0.01, 0.01)
    assert seeds_needed(0.01, 0.0) == 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("difference", [0.0001, 0.003, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("noise", [1e-9, 0.002, 0.01, 0.05])
def test_any_difference_has_a_plan_that_is_just_sufficient(difference: float, noise: float) -> None:
    seeds = seeds_needed(difference, noise)
    power = TTestIndPower().power
    assert power(min(difference / noise, 10), seeds, 0.05) >= 0.8  # beyond, SciPy gives NaN
    assert seeds == 2 or power(difference / noise, seeds - 1, 0.05) < 0.8
    assert samples_needed(difference, max(difference, noise)) >= 2


@pytest.mark.parametrize(
    ("difference", "disagreement", "message"),
    [
        (0.0, 0.1, "a difference of 0 percentage points is not between 0 and 100"),
        (-0.03, 0.1, "a difference of -3 percentage points is not between 0 and 100"),
        (2.0, 0.1, "a difference of 200 percentage points is not between 0 and 100"),
        (0.2, 0.1, "disagree on at least that share"),
    ],
)
def test_impossible_input_is_refused(difference: float, disagreement: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        samples_needed(difference, disagreement)


def test_a_board_says_how_much_its_networks_disagree() -> None:
    samples, seeds = planned(0.01, board=BOARDS / "certified-quick")
    pairs = pd.read_csv(BOARDS / "certified-quick" / "comparisons.csv")
    table = pd.read_csv(BOARDS / "certified-quick" / "leaderboard.csv")
    beyond = (pairs["disagreement"] - pairs["difference"].abs()).median()
    assert samples["disagreement"].tolist() == pytest.approx([beyond + 0.01])
    assert table[f"{pairs['column'][0]}_std"].isna().all()
    assert seeds["seed_std"].tolist() == list(SPREADS)


def test_rows_that_differ_much_do_not_make_small_differences_noisy() -> None:
    """On quick, rows that are 50 points apart disagree on half of the images."""
    samples, _ = planned(0.02, board=BOARDS / "quick")
    assert samples["disagreement"].item() < 0.1


def test_the_spread_of_a_board_is_the_one_that_its_t_test_pools() -> None:
    """The median of standard deviations of two seeds is two thirds of the true one."""
    _, seeds = planned(0.01, board=BOARDS / "normalizations-strong-loop")
    table = pd.read_csv(BOARDS / "normalizations-strong-loop" / "leaderboard.csv")
    spreads = table["autoattack(samples=200)_std"]
    assert seeds["seed_std"].item() == pytest.approx(np.sqrt((spreads**2).mean()))
    assert seeds["seed_std"].item() > 1.5 * spreads.median()


def board_of(folder: Path, disagreement: float, pairs: int | None = None) -> Path:
    """A board whose rows disagree on this share of the images, with its first pairs alone."""
    board = shutil.copytree(BOARDS / "quick", folder / "quick")
    table = pd.read_csv(board / "comparisons.csv")[:pairs]
    table.assign(disagreement=disagreement, difference=0.0).to_csv(
        board / "comparisons.csv", index=False
    )
    return board


def test_rows_that_agree_on_all_images_are_planned_for_as_those_that_just_differ(
    robench: Command, tmp_path: Path
) -> None:
    board = board_of(tmp_path, 0.0)
    samples, _ = planned(0.01, board=board)
    assert samples["disagreement"].tolist() == [0.01]
    assert samples["samples"].tolist() == [samples_needed(0.01, 0.01)]
    done = robench("plan", "--difference", "1", "--board", board)
    assert done.code == 0, done.err
    assert "1.0% of them" in done.out


@pytest.mark.parametrize("difference", [0.001, 0.03, 0.3, 0.9])
def test_no_planned_disagreement_is_below_the_difference(difference: float) -> None:
    samples, _ = planned(difference)
    assert samples["disagreement"].min() >= difference
    assert samples["disagreement"].is_monotonic_increasing
    assert samples["disagreement"].is_unique


def test_it_is_said_what_the_correction_over_all_pairs_needs(
    robench: Command, tmp_path: Path
) -> None:
    board = board_of(tmp_path, 0.1)
    more = samples_needed(0.01, 0.11, level=0.05 / 10) / samples_needed(0.01, 0.11)
    said = corrected(0.01, board=board)
    assert "over the 10 pairs of this board needs up to" in said
    assert f"{more:.1f} times as many images" in said
    assert more > 1.5
    assert "the 45 pairs of a board of 10 rows" in robench("plan", "--difference", "1").out


def test_a_single_pair_needs_no_correction(tmp_path: Path) -> None:
    assert corrected(0.01, board=board_of(tmp_path, 0.1, pairs=1)) == ""


@pytest.mark.parametrize("value", ["text", ""])
def test_a_board_with_damaged_figures_is_refused(tmp_path: Path, value: str) -> None:
    folder = shutil.copytree(BOARDS / "quick", tmp_path / "quick")
    pairs = pd.read_csv(folder / "comparisons.csv", dtype=str)
    pairs.loc[0, "disagreement"] = value
    pairs.to_csv(folder / "comparisons.csv", index=False)
    with pytest.raises(UserError, match=r"comparisons\.csv"):
        planned(0.01, board=folder)
    with pytest.raises(UserError, match="missing"):
        planned(0.01, board=tmp_path / "missing")


@pytest.mark.parametrize("difference", [1e-8, 1e-300, 9e-7])
def test_a_difference_too_small_for_any_test_is_refused(difference: float) -> None:
    with pytest.raises(UserError, match="too small for any test; plan for one of 1e-06"):
        planned(difference)
    samples, seeds = planned(1e-6)
    assert samples["samples"].min() > 1e9
    assert seeds["seeds"].min() > 1e6


def test_a_folder_without_a_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a folder that .robench run. published"):
        planned(0.01, board=tmp_path)


def test_the_command_prints_both(robench: Command) -> None:
    done = robench("plan", "--difference", "0.5")
    assert done.code == 0
    assert "test images" in done.out
    assert "seeds of each" in done.out
    refused = robench("plan", "--difference", "0")
    assert refused.code == 2
    assert "a difference of 0 percentage points is not" in refused.err
