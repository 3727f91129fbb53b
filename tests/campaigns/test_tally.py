"""What trials and failures say about the rate of failures."""

import pytest

from campaigns.tally import Tally, upper_bound


@pytest.mark.parametrize("trials", [100, 1000, 10_000])
def test_without_a_failure_the_bound_is_three_over_the_number_of_trials(trials: int) -> None:
    assert upper_bound(0, trials) == pytest.approx(3 / trials, rel=0.02)


def test_the_bound_is_above_the_observed_rate_and_never_above_one() -> None:
    assert upper_bound(5, 100) > 0.05
    assert upper_bound(0, 0) == upper_bound(3, 3) == 1.0


def test_the_report_counts_by_kind_and_lists_the_failures() -> None:
    tally = Tally()
    tally.add("title")
    tally.add("seed")
    tally.add("seed", "42 was not found")
    report = tally.report("Forgeries")
    assert ["seed", "2", "trials", "1", "failed"] in [line.split() for line in report.splitlines()]
    assert "3 trials, 1 failed" in report
    assert report.endswith("- seed: 42 was not found")
