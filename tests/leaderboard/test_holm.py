"""Holm's correction: that of statsmodels to the bit."""

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from robench.leaderboard.holm import holm

P_VALUES = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.5, 1.0]), max_size=30)


@given(P_VALUES.filter(len))
def test_the_corrected_values_are_those_of_statsmodels(p: list[float]) -> None:
    with patch("gc.collect"):  # it goes through all objects of all tests, each time
        _, corrected, *_ = multipletests(p, 0.01, method="holm")
    assert np.array_equal(holm(p), corrected)


def test_the_smallest_counts_for_all_and_the_largest_for_itself() -> None:
    assert holm([0.03, 0.01, 0.02]).tolist() == [0.04, 0.03, 0.04]


def test_no_test_needs_no_correction() -> None:
    assert holm([]).shape == (0,)
