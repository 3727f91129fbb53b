"""Success against queries, with searches that ended without success censored."""

import math
from pathlib import Path

import numpy as np
import pytest

from robench.evaluation import Outcomes
from robench.evaluation.queries import draw_success, median_queries, success_curve


def outcomes(queries: list[int], fooled: list[bool], clean_mistakes: int = 2) -> Outcomes:
    count = len(queries) + clean_mistakes
    correct = np.arange(count) < len(queries)
    robust = np.array([not f for f in fooled] + [False] * clean_mistakes)
    spent = np.array(queries + [0] * clean_mistakes)
    zeros = np.zeros(count, dtype=np.float32)
    return Outcomes(correct, robust, robust, spent, spent, 0 * spent, zeros, zeros)


def test_with_one_cap_it_is_the_plain_share() -> None:
    curve = success_curve(outcomes([3, 10, 5, 10], [True, False, True, False]))
    assert curve["queries"].tolist() == [3, 5]
    assert curve["success"].tolist() == [0.25, 0.5]


def test_a_search_that_ended_early_is_censored_where_it_ended() -> None:
    # Kaplan-Meier by hand: 1 of 4 at 3; then one leaves at 4; 1 of the remaining 2 at 5.
    curve = success_curve(outcomes([3, 4, 5, 10], [True, False, True, False]))
    assert curve["success"].tolist() == pytest.approx([0.25, 1 - 0.75 * 0.5])


def test_the_median_is_where_half_are_fooled_and_nothing_where_they_never_are() -> None:
    assert median_queries(outcomes([3, 10, 5, 10], [True, False, True, False])) == 5
    assert math.isnan(median_queries(outcomes([3, 10, 5, 10], [True, False, False, False])))
    assert math.isnan(median_queries(outcomes([9, 9], [False, False])))


def test_the_figure_shows_every_attack_and_the_same_one_is_the_same_file(tmp_path: Path) -> None:
    curve = success_curve(outcomes([3, 10], [True, True]))
    for name in ("one.svg", "two.svg"):
        draw_success({"alpha": curve, "beta": curve.iloc[:0]}, "four images", tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    for word in ("alpha", "beta", "four images"):
        assert f"<!-- {word} -->" in text
