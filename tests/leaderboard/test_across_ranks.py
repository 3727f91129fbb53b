"""Mean ranks over boards, by an example that Demšar (2006) computes: his Table 6."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from robench.leaderboard.across.ranks import critical_difference, mean_ranks

NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
# As printed, but for the last but one line ("voting"): its last two are printed as equal and have
# the ranks 2 and 3, so that a digit is added here.
AUC = """
0.763 0.768 0.771 0.798
0.599 0.591 0.590 0.569
0.954 0.971 0.968 0.967
0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898
0.936 0.931 0.916 0.931
0.661 0.668 0.609 0.685
0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875
1.000 1.000 1.000 1.000
0.940 0.962 0.965 0.962
0.619 0.666 0.614 0.669
0.972 0.981 0.976 0.975
0.957 0.978 0.946 0.970
"""
TABLE = [[float(v) for v in line.split()] for line in AUC.strip().splitlines()]


def boards(table: list[list[float]], names: tuple[str, ...] = NAMES) -> dict[str, dict[str, float]]:
    return {f"board {i}": dict(zip(names, row, strict=True)) for i, row in enumerate(table)}


def ranked(table: list[list[float]], *, same_images: bool = False):
    names = NAMES[: len(table[0])]
    found = boards(table, names)
    return mean_ranks(found, dict.fromkeys(found, "pgd-20"), same_images=same_images)


def test_ranks_and_critical_difference_are_those_of_the_paper() -> None:
    found = ranked(TABLE)
    assert found is not None
    ranks = found.table.set_index("defense")["mean_rank"]
    expected = {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}
    assert ranks.to_dict() == pytest.approx(expected, abs=5e-4)
    assert found.critical == pytest.approx(1.25, abs=5e-3)
    assert found.p == pytest.approx(friedmanchisquare(*np.transpose(TABLE)).pvalue)
    assert found.p < 0.05


@pytest.mark.parametrize(("rows", "quantile"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_the_quantiles_are_those_of_its_table_5(rows: int, quantile: float) -> None:
    boards = 12
    expected = quantile * math.sqrt(rows * (rows + 1) / (6 * boards))
    assert critical_difference(rows, boards) == pytest.approx(expected, rel=1e-3)


def test_bars_join_what_differs_by_less_than_the_critical_difference() -> None:
    # Always in the same order: ranks 1, 2, 3 and 4 on 20 boards, where the difference is 1.05.
    found = ranked([[0.9, 0.8, 0.7, 0.6]] * 20)
    assert found is not None
    assert found.groups == ((0, 1), (1, 2), (2, 3))
    assert "the rows differ" in " ".join(found.notes)
    diagram = found.diagram
    assert diagram.lower_is_better
    assert diagram.bars == found.groups
    assert "C4.5 1.00" in diagram.summary


def test_without_a_difference_by_friedman_all_rows_are_joined() -> None:
    found = ranked([[0.9, 0.8, 0.7], [0.7, 0.8, 0.9], [0.8, 0.9, 0.7], [0.7, 0.9, 0.8]])
    assert found is not None
    assert found.p > 0.05
    assert found.groups == ((0, 1, 2),)


def test_few_boards_are_said_to_have_low_power() -> None:
    notes = " ".join(ranked(TABLE[:2], same_images=True).notes)
    assert "N = 2 boards: low power" in notes
    assert "no pair could be distinguished" in notes
    assert "not independent" in notes
    many = " ".join(ranked(TABLE).notes)
    assert "low power" not in many
    assert "not independent" not in many


def test_only_rows_of_all_boards_are_ranked_and_equal_ones_share_a_rank() -> None:
    found = boards(TABLE[:3])
    del found["board 1"]["C4.5"]
    found["board 0"]["C4.5+m"] = found["board 0"]["C4.5+cf"]
    made = mean_ranks(found, dict.fromkeys(found, "clean"), same_images=False)
    assert made is not None
    assert "C4.5" not in set(made.table["defense"])
    assert sorted(made.table["board 0"]) == [1, 2.5, 2.5]
    assert mean_ranks({"x": {"a": 1.0}, "y": {"a": 1.0}}, {"x": "c", "y": "c"},
                      same_images=False) is None  # fmt: skip


@pytest.mark.parametrize(("boards", "p"), [(4, 0.125), (5, 0.0625), (6, 0.03125)])
def test_two_rows_are_compared_by_the_exact_sign_test(boards: int, p: float) -> None:
    found = ranked([[0.9, 0.8]] * boards)
    assert found is not None
    assert found.p == pytest.approx(p)
    assert found.groups == (() if p < 0.05 else ((0, 1),))
    said = " ".join(found.notes)
    assert "Friedman" not in said
    assert f"sign test over the boards finds no difference at the 5% level (p = {p:.2g})" in said
    assert ("no pair could be distinguished" in said) == (p >= 0.05)
    ties = ranked([[0.9, 0.9]] * boards)
    assert ties is not None
    assert ties.p == 1
    assert found.diagram.critical == 0  # Nemenyi's would contradict the bar


def test_rows_that_tie_on_all_boards_have_no_p_value_to_print() -> None:
    found = ranked([[0.9, 0.9, 0.9]] * 4)
    assert found is not None
    assert math.isnan(found.p)
    assert found.groups == ((0, 1, 2),)
    assert "nan" not in " ".join(found.notes)
