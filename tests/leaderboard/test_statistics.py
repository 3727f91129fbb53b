"""Confidence intervals and standard deviations."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from robench.leaderboard.statistics import estimate


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_one_seed_gives_wilson_s_interval(pair: tuple[int, int]) -> None:
    count, samples = pair
    result = estimate([count / samples], samples)
    low, high = proportion_confint(count, samples, method="wilson")
    assert result.low == pytest.approx(max(low, 0), abs=1e-9)
    assert result.high == pytest.approx(min(high, 1), abs=1e-9)
    assert result.mean == count / samples
    assert math.isnan(result.std)


def test_several_seeds_give_mean_and_sample_std() -> None:
    result = estimate([0.5, 0.6, 0.7], 1000)
    assert result.mean == pytest.approx(0.6)
    assert result.std == pytest.approx(0.1)


def test_seeds_are_not_counted_as_additional_samples() -> None:
    one, three = estimate([0.6], 1000), estimate([0.6, 0.6, 0.6], 1000)
    assert (three.low, three.high) == (one.low, one.high)
