"""The t-test over images and seeds, and its limits: known tests of scipy and statsmodels."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp, ttest_ind
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from robench.leaderboard.significance import (
    Spread,
    mcnemar,
    over_images,
    over_seeds,
    t_test,
)

NONE = Spread(np.zeros(1), np.zeros(1))
RNG = np.random.default_rng(0)


def of(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (5, 0), (3, 9), (40, 20)])
def test_mcnemar_is_the_exact_binomial_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar(of(won), of(lost))[0] == pytest.approx(expected)


def test_over_images_it_is_the_t_test_with_two_made_up_images() -> None:
    differences = RNG.choice([-1.0, 0.0, 1.0], 300, p=[0.1, 0.7, 0.2])
    adjusted, images = over_images(
        of(differences.sum()), of((differences**2).sum()), len(differences), 0
    )
    with_two = np.append(differences, [1, -1])
    found = t_test(of(differences.mean()), adjusted, images, NONE)
    expected = ttest_1samp(with_two, 0)
    assert found.p[0] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (found.low[0], found.high[0]) == pytest.approx((interval.low, interval.high))


def test_independent_accuracies_get_a_correct_and_a_wrong_image_each() -> None:
    one, two = (RNG.random(count) < 0.6 for count in (80, 200))
    (mean, images), (other, of_other) = (
        over_images(of(own.sum()), of(own.sum()), len(own), 1) for own in (one, two)
    )
    found = t_test(of(one.mean() - two.mean()), mean - other, images + of_other, NONE)
    with_two = [np.append(own.astype(float), [1, 0]) for own in (one, two)]
    expected = ttest_ind(*with_two, equal_var=False)
    assert found.p[0] == pytest.approx(expected.pvalue)
    interval = CompareMeans(*map(DescrStatsW, with_two)).tconfint_diff(usevar="unequal")
    assert (found.low[0], found.high[0]) == pytest.approx(interval)


FIRST, SECOND = np.array([0]), np.array([1])


def of_rows(rows: Sequence[np.ndarray], unit: float = 1e-4) -> Spread:
    """Return the variance over seeds of each row, with its degrees of freedom."""
    runs = over_seeds(rows, unit)
    return runs.pooled + runs.own


def over_seeds_alone(*rows: np.ndarray, unit: float = 1e-4) -> float:
    """Return the p-value of the first two rows, with the seeds of all of them."""
    difference = of(rows[0].mean() - rows[1].mean())
    seeds = over_seeds(rows, unit).of_pairs(FIRST, SECOND)
    return float(t_test(difference, difference, NONE, seeds).p[0])


def test_over_the_seeds_of_alike_rows_it_is_student_s_test() -> None:
    one = RNG.normal(0.5, 0.02, 60)
    two = 0.49 + (one - one.mean())[::-1]  # of the same variance
    expected = ttest_ind(one, two)
    assert over_seeds_alone(one, two) == pytest.approx(expected.pvalue, rel=0.05)


def test_a_single_network_is_held_against_the_runs_of_the_other_row() -> None:
    runs = RNG.normal(0.5, 0.02, 40)
    expected = ttest_1samp(runs, 0.505).pvalue
    assert over_seeds_alone(of(0.505), runs) == pytest.approx(expected, rel=0.05)


def test_runs_of_other_rows_make_two_seeds_surer() -> None:
    """Two seeds alone cannot tell 50% from 60%; that ten other rows hardly vary says they can."""
    one, two = of(0.5, 0.51), of(0.6, 0.61)
    others = [of(at, at + 0.01) for at in np.linspace(0.2, 0.8, 10)]
    assert over_seeds_alone(one, two, *others) < 1e-6 < 1e-3 < over_seeds_alone(one, two)


def test_a_row_that_varies_more_than_the_others_keeps_its_variance() -> None:
    unstable = of(0.4, 0.6)
    others = [of(at, at + 0.01) for at in np.linspace(0.2, 0.8, 10)]
    own = of_rows([unstable, *others]).variance[0]
    assert own == pytest.approx(unstable.var(ddof=1) / 2)
    assert over_seeds_alone(unstable, others[5], *others) > 0.1


def test_the_more_it_varies_the_fewer_are_its_degrees_of_freedom() -> None:
    others = [of(at, at + 0.01) for at in np.linspace(0.2, 0.8, 10)]
    freedom = [of_rows([of(0.4, 0.4 + by), *others]).freedom[0]
               for by in (0.01, 0.02, 0.05, 0.5)]  # fmt: skip
    assert freedom == sorted(freedom, reverse=True)
    assert freedom[0] == pytest.approx(11)
    assert freedom[-1] == pytest.approx(1, abs=0.3)


def test_a_pool_that_few_rows_make_up_has_few_degrees_of_freedom() -> None:
    alike = [of(at, at + 0.01) for at in np.linspace(0.2, 0.8, 10)]
    unlike = [of(0.1, 0.5), *alike]
    freedom = [over_seeds(rows, 1e-4).pooled.freedom[0] for rows in (alike, unlike)]
    assert freedom == pytest.approx((10, 1), rel=0.1)


def test_networks_that_have_collapsed_do_not_show_how_runs_vary() -> None:
    rows = [of(0.5, 0.52), of(0.6, 0.62)]
    collapsed = [of(0.1, 0.1, 0.1)] * 5
    seeds, with_them = of_rows(rows), of_rows([*rows, *collapsed])
    assert with_them.variance[:2] == pytest.approx(seeds.variance)
    assert with_them.freedom[:2] == pytest.approx(seeds.freedom)
    assert 3 * with_them.variance[2:] == pytest.approx(2 * seeds.variance[0])


@given(st.floats(-0.3, 0.3), st.floats(1e-6, 1e-2), st.floats(1e-6, 1e-2), st.floats(1, 40))
def test_the_p_value_is_the_larger_one_and_agrees_with_the_interval(
    difference: float, images: float, seeds: float, freedom: float
) -> None:
    over = Spread(of(images), of(999.0)), Spread(of(seeds), of(freedom))
    found = t_test(of(difference), of(difference), *over)
    alone = t_test(of(difference), of(difference), NONE, over[1])
    images_alone = t_test(of(difference), of(difference), over[0], NONE)
    assert found.p[0] >= max(alone.p[0], images_alone.p[0]) - 1e-12
    assert found.low[0] <= alone.low[0]
    assert found.high[0] >= alone.high[0]
    if min(abs(found.low[0]), abs(found.high[0])) > 1e-9:
        assert (found.p[0] < 0.05) == (not found.low[0] < 0 < found.high[0])


def test_seeds_of_one_accuracy_are_taken_as_one_image_apart() -> None:
    equal, apart = (of_rows([of(0.5, end)] * 2, 0.01).variance[0] for end in (0.5, 0.51))
    assert equal == pytest.approx(apart)
    assert equal > 0


@pytest.mark.parametrize("differing", range(1, 12))
def test_few_differing_images_are_no_surer_than_the_signs_allow(differing: int) -> None:
    """Without the made-up images, 5 of 5 differing images would have p = 0.025, not 0.06."""
    adjusted, images = over_images(of(differing), of(differing), 10_000, 0)
    found = t_test(of(differing / 10_000), adjusted, images, NONE).p[0]
    exact = 2 * 0.5**differing
    assert found > 0.05 if exact > 0.05 else found > exact
