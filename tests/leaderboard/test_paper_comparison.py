"""Comparison with a paper's figures: units, differences and the order of the rows."""

import math
import re
from collections.abc import Callable
from html import unescape

import pytest
from page_boards import Invented, invent
from pydantic import ValidationError

from robench.board.paper import Paper
from robench.errors import UserError
from robench.leaderboard.derived import ORDER, PAPER
from robench.leaderboard.export_paper import paper_to_latex, paper_to_markdown
from robench.leaderboard.page.paper_comparison import paper_comparison
from robench.leaderboard.page.write import render
from robench.leaderboard.paper import order_sentences, paper_order
from robench.leaderboard.published import Leaderboard


def rows(**pgd: float) -> list[Invented]:
    return [
        Invented(name, {"clean": 0.9, "fgsm": share, "pgd-20": share, "simba(samples=50)": 0.1})
        for name, share in pgd.items()
    ]


def board(figures: dict[str, dict[str, tuple[float, ...]]], **pgd: float) -> Leaderboard:
    paper = Paper(item="Table 7", figures=figures, choices=("the seeds: ours",), scale="reduced")
    return invent(rows(**pgd), paper=paper, samples=400)


CLEAR = board(
    {"good": {"pgd-20": (60.0, 0.5)}, "fair": {"pgd-20": (50.0,)}, "poor": {"pgd-20": (40.0, 0.1)}},
    good=0.2, fair=0.5, poor=0.49,
)  # fmt: skip


def test_figures_are_fractions_and_the_difference_is_ours_minus_the_papers() -> None:
    figures = CLEAR.derived[PAPER].set_index("defense")
    assert figures.loc["good", "paper"] == 0.6
    assert figures.loc["good", "paper_std"] == pytest.approx(0.005)
    assert math.isnan(figures.loc["fair", "paper_std"])
    ours = CLEAR.table.set_index("defense")["pgd-20_mean"]
    for name in ("good", "fair", "poor"):
        assert figures.loc[name, "ours"] == ours[name]
        assert figures.loc[name, "difference"] == pytest.approx(
            ours[name] - figures.loc[name, "paper"]
        )


def test_pairs_count_by_their_order_and_whether_it_is_clear() -> None:
    (line,) = CLEAR.derived[ORDER].to_dict("records")
    # good is clearly below both here, and above both in the paper; fair and poor are a near tie.
    assert (line["pairs"], line["reversed"], line["reversed_clearly"]) == (3, 2, 2)
    assert (line["same"], line["same_clearly"]) == (1, 0)
    (sentence,) = order_sentences(CLEAR.derived[ORDER])
    assert "in 1 of 3 pairs of rows our order is the paper's, in 2 it is reversed" in sentence
    assert "Distinguishable here: 0 in the paper's order, 2 reversed." in sentence


def test_figures_other_than_accuracies_are_taken_as_printed_and_not_tested() -> None:
    queries = "simba(samples=50)_queries"
    made = board({"a": {queries: (2000.0,)}, "b": {queries: (1000.0,)}}, a=0.5, b=0.4)
    figures = made.derived[PAPER].set_index("defense")
    assert figures.loc["a", "paper"] == 2000
    assert figures.loc["a", "ours"] == made.table.set_index("defense").loc["a", queries]
    (line,) = made.derived[ORDER].to_dict("records")
    assert math.isnan(line["same_clearly"])
    assert "not tested" in next(order_sentences(made.derived[ORDER]))


def test_equal_figures_of_the_paper_do_not_count_as_a_pair() -> None:
    made = board({"a": {"clean": (90.0,)}, "b": {"clean": (90.0,)}}, a=0.5, b=0.4)
    assert made.derived[ORDER]["pairs"].tolist() == [0]


def test_missing_rows_and_boards_without_a_paper_have_no_comparison() -> None:
    assert PAPER not in board({"gone": {"clean": (90.0,)}}, a=0.5).derived
    assert PAPER not in invent(rows(a=0.5)).derived
    assert paper_comparison(invent(rows(a=0.5))) is None


@pytest.mark.parametrize("write", [paper_to_markdown, paper_to_latex])
def test_the_export_names_the_papers_columns(write: Callable[[Leaderboard], str]) -> None:
    text = write(CLEAR)
    assert "pgd-20, paper" in text
    assert "Table 7 of arXiv:2103.00673" in text
    assert re.search(r"good.*60\.00 (±|\$\\pm\$) 0\.50", text)
    assert "2 reversed" in text
    with pytest.raises(UserError, match="has no figures of a paper"):
        write(invent(rows(a=0.5)))


def test_the_page_shows_the_papers_figures_in_columns_of_that_name() -> None:
    text = unescape(re.sub(r"<[^>]*>", " ", render(CLEAR)))
    assert "Table 7 of arXiv:2103.00673" in text
    assert "This board is reduced" in text
    assert re.search(r"good\s+60\.00 ± 0\.50\s+\d\d\.\d\d ± \d\.\d\d\s+−\d\d\.\d\d", text)  # noqa: RUF001
    assert "2 reversed" in text
    assert "the seeds: ours" in text
    assert 'id="paper"' not in render(invent(rows(a=0.5)))


@pytest.mark.parametrize(
    "printed", [(math.nan,), (math.inf,), (-5.0, 1.0), (8323.0,), (True,), (1.0, 2.0, 3.0)]
)
def test_a_figure_that_no_paper_prints_is_refused(printed: tuple[float, ...]) -> None:
    with pytest.raises((UserError, ValidationError)):
        Paper(item="Table 7", figures={"good": {"clean": printed}}).check(["good"], ("clean",))


def test_means_that_differ_in_their_last_bit_count_as_equal() -> None:
    figures = CLEAR.derived[PAPER].copy()
    figures["ours"] = [0.3, 0.1 + 0.2, 0.3]
    (line,) = paper_order(CLEAR.result, figures).to_dict("records")
    assert (line["pairs"], line["same"], line["reversed"]) == (3, 0, 0)
