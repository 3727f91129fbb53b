"""Paired comparisons are exact tests."""

import pytest
from faults import forged

from robench.checks.significance import LEVEL, at_least, at_most, paired


def test_only_the_samples_on_which_two_attacks_differ_count() -> None:
    found = paired(forged(range(10, 40)), forged(range(20)))
    assert (found.only_strong, found.only_weak) == (20, 10)
    assert found.p == pytest.approx(at_least(10, 30, 0.5))


def test_attacks_that_agree_differ_by_chance_only() -> None:
    assert paired(forged(range(30)), forged(range(30))).p == 1


def test_seven_to_nothing_is_beyond_chance_and_six_are_not() -> None:
    assert paired(forged(range(0)), forged(range(7))).p < LEVEL
    assert paired(forged(range(0)), forged(range(6))).p > LEVEL


def test_attacks_on_few_samples_are_compared_on_these() -> None:
    found = paired(forged(range(10), 50), forged(range(100), 200))
    assert (found.samples, found.strong, found.weak) == (50, 0.8, 0.0)


def test_nothing_tried_is_no_evidence() -> None:
    assert at_least(0, 0, 0.5) == at_most(0, 0, 0.5) == 1
