"""Paired comparison of rows on the same images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, ttest_rel

from robench.leaderboard.comparison import Comparison, compare, matched

Robust = NDArray[np.bool_]


def network(accuracy: float, samples: int = 1000, seeds: int = 1, seed: int = 0) -> Robust:
    """Return outcomes that are correct on random samples, independently for each network."""
    rng = np.random.default_rng(seed)
    return rng.random((seeds, samples)) < accuracy


def pair(result: Comparison) -> dict[str, object]:
    assert len(result.pairs) == 1
    row: dict[str, object] = result.pairs.iloc[0].to_dict()
    return row


def test_one_seed_is_compared_by_mcnemar_s_exact_test() -> None:
    one, other = network(0.6), network(0.55, seed=1)
    found = pair(compare({"one": one, "other": other}))
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    assert found["method"] == "McNemar"
    assert found["p"] == pytest.approx(binomtest(only_one, only_one + only_other).pvalue)
    assert found["difference"] == pytest.approx(one.mean() - other.mean())


def test_a_difference_that_is_in_every_sample_is_seen_where_intervals_overlap() -> None:
    base = network(0.5)
    better = base.copy()
    better[0, np.flatnonzero(~base[0])[:20]] = True  # correct on 20 more, and on all the others
    found = pair(compare({"base": base, "better": better}))
    assert found["first"] == "better"
    assert found["distinguishable"]
    assert 0 < float(str(found["low"])) <= 0.02 <= float(str(found["high"])) < 0.04


def test_several_seeds_are_compared_over_samples_and_seeds() -> None:
    found = pair(compare({"a": network(0.6, seeds=3), "b": network(0.4, seeds=3, seed=1)}))
    assert found["method"] == "t-test"
    assert found["distinguishable"]
    # One lucky run out of two is no evidence: another pair of seeds may give the opposite result.
    luck = np.concatenate([network(0.3), network(0.7, seed=1)])
    found = pair(compare({"a": luck, "b": network(0.45, seeds=2, seed=2)}))
    assert not found["distinguishable"]


def test_means_over_corruptions_are_compared_by_the_t_test_with_one_seed_too() -> None:
    parts = network(0.6, seeds=4).sum(0, keepdims=True), network(0.5, seeds=4, seed=1).sum(0)[None]
    found = pair(compare(dict(zip("ab", parts, strict=True)), parts=4))
    assert found["method"] == "t-test"
    assert found["p"] == pytest.approx(ttest_rel(parts[0][0], parts[1][0]).pvalue, rel=0.3)


def runs(accuracies: NDArray[np.float64], samples: int, rng: np.random.Generator) -> Robust:
    """Return outcomes of runs that find the same samples hard."""
    hard = rng.random(samples)
    noise = rng.normal(0, 0.2, (len(accuracies), samples))
    scores = hard + noise
    cuts = [np.quantile(own, 1 - share) for own, share in zip(scores, accuracies, strict=True)]
    return scores > np.array(cuts)[:, None]


@pytest.mark.parametrize("seeds", [2, 3])
def test_equal_rows_are_rarely_distinguished(seeds: int) -> None:
    """Four equal rows, whose runs differ: at most 5% of boards have a pair called different."""
    rng = np.random.default_rng(seeds)
    boards, wrong = 60, 0
    for _ in range(boards):
        drawn = 0.4 + 0.03 * rng.standard_normal((4, seeds))
        rows = {str(i): runs(own, 200, rng) for i, own in enumerate(drawn)}
        wrong += bool(compare(rows).pairs["distinguishable"].any())
    # A test at 5% exceeds this number once in a thousand times.
    assert wrong <= binom.ppf(0.999, boards, 0.05)


def test_networks_that_are_alike_are_not_distinguishable_and_share_ranks() -> None:
    result = compare({str(i): network(0.5, seed=i) for i in range(4)})
    assert not result.pairs["distinguishable"].any()
    assert set(result.ranks["group"]) == {"a"}
    assert set(result.ranks["rank_low"]) == {1}
    assert set(result.ranks["rank_high"]) == {4}


def test_groups_are_letters_that_neighboring_rows_share() -> None:
    rows = {"best": network(0.9), "worst": network(0.1, seed=2)}
    rows["middle"], rows["like middle"] = network(0.5, seed=3), network(0.5, seed=4)
    groups = compare(rows).ranks["group"].to_dict()
    assert groups["best"] == "a"
    assert groups["middle"] == groups["like middle"] == "b"
    assert groups["worst"] == "c"


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(2, 9))
def test_ranks_and_letters_say_what_the_pairs_say(seed: int, seeds: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.choice([0.3, 0.4, 0.5, 0.6, 0.7], count)
    rows = {str(i): network(s, 150, seeds, seed + i) for i, s in enumerate(shares)}
    result = compare(rows)
    for line in result.pairs.to_dict("records"):
        better, worse = (result.ranks.loc[line[end]] for end in ("first", "second"))
        shared = set(better["group"].split()) & set(worse["group"].split())
        assert line["distinguishable"] == (not shared)
        disjoint = better["rank_high"] < worse["rank_low"]
        assert line["distinguishable"] or not disjoint
    for name, own in result.ranks.iterrows():
        apart = result.pairs[result.pairs["distinguishable"]]
        assert own["rank_low"] == 1 + (apart["second"] == name).sum()
        assert own["rank_high"] == count - (apart["first"] == name).sum()


def test_holm_s_correction_is_over_all_pairs() -> None:
    rows = {str(i): network(0.5 + 0.02 * i, seed=i) for i in range(5)}
    pairs = compare(rows).pairs
    assert (pairs["p_holm"] >= pairs["p"]).all()
    smallest = pairs["p"].min()
    assert pairs.loc[pairs["p"].idxmin(), "p_holm"] == pytest.approx(min(1, 10 * smallest))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(5, 60))
def test_p_values_intervals_and_ranks_are_in_range(seed: int, seeds: int, samples: int) -> None:
    rows = {str(i): network(0.5, samples, seeds, seed + i) for i in range(3)}
    result = compare(rows)
    assert result.pairs["p_holm"].between(0, 1).all()
    assert (result.pairs["low"] <= result.pairs["high"]).all()
    assert (result.pairs["difference"] >= 0).all()
    assert (result.ranks["rank_low"] <= result.ranks["rank_high"]).all()
    assert result.ranks[["rank_low", "rank_high"]].isin([1, 2, 3]).all().all()


def test_the_same_outcomes_give_the_same_comparison() -> None:
    rows = {str(i): network(0.5, seeds=2, seed=i) for i in range(3)}
    assert compare(rows).pairs.equals(compare(rows).pairs)


def test_rows_of_one_accuracy_differ_by_nothing_whatever_their_number_of_seeds() -> None:
    one = network(0.37, 700)
    pairs = compare({"a": one, "b": np.repeat(one, 3, 0), "c": np.repeat(one, 7, 0)}).pairs
    assert (pairs["difference"] == 0).all()
    assert (pairs["p"] == 1).all()


def test_rows_on_different_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[100, 200\] samples"):
        compare({"a": network(0.5, 100), "b": network(0.5, 200)})


def test_a_board_of_one_row_or_none_has_no_pairs() -> None:
    assert compare({"a": network(0.5)}).pairs.empty
    assert compare({"a": network(0.5)}).ranks.loc["a"].tolist() == [1, 1, "a"]
    assert compare({}).ranks.empty


def test_many_rows_of_several_seeds_can_be_distinguished() -> None:
    """Holm's correction multiplies by 435 pairs."""
    rows = {f"row {i}": network(0.02 + 0.03 * i, seeds=3, seed=i) for i in range(30)}
    pairs = compare(rows).pairs.set_index(["first", "second"])
    assert bool(pairs.loc[("row 29", "row 0"), "distinguishable"])
    assert not bool(pairs.loc[("row 11", "row 10"), "p"] == 0)


def test_two_boards_are_compared_as_the_rows_of_one_are() -> None:
    rows = {"a": network(0.6, seeds=2), "b": network(0.5, seeds=3, seed=1)}
    among = pair(compare(rows))
    alone = matched([(rows["b"], rows["a"])]).iloc[0]
    for figure in ("difference", "low", "high", "p", "method"):
        assert alone[figure] == among[figure]
