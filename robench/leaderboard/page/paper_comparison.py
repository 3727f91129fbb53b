"""The paper's figures and ours, as text, and whether the order of the rows is the same."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.board.paper import Paper, is_share
from robench.leaderboard.derived import ORDER, PAPER
from robench.leaderboard.page.wording import MISSING
from robench.leaderboard.paper import order_sentences

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class ComparedFigure:
    """A figure of the paper, ours and the difference, as text."""

    paper: str
    ours: str
    difference: str


@dataclass(frozen=True)
class PaperComparison:
    """The comparison with the paper that the page shows; all of it is text to be escaped."""

    paper: Paper
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[ComparedFigure | None, ...]], ...]
    order: tuple[str, ...]


def paper_comparison(board: "Leaderboard") -> PaperComparison | None:
    """Return the paper's figures with ours; None if the board does not reproduce a paper."""
    paper = board.board.paper
    if paper is None:
        return None
    cells: dict[str, dict[str, ComparedFigure]] = defaultdict(dict)
    columns: dict[str, None] = {}
    for line in board.derived[PAPER].to_dict("records") if PAPER in board.derived else []:
        column, share = str(line["column"]), is_share(str(line["column"]))
        columns[column] = None
        difference = _figure(abs(line["difference"]), math.nan, share)
        sign = MINUS if line["difference"] < 0 else "+"
        cells[line["defense"]][column] = ComparedFigure(
            _figure(line["paper"], line["paper_std"], share),
            _figure(line["ours"], line["ours_std"], share),
            difference if difference == MISSING else sign + difference,
        )
    rows = tuple((t, tuple(found.get(c) for c in columns)) for t, found in cells.items())
    order = tuple(order_sentences(board.derived[ORDER])) if ORDER in board.derived else ()
    return PaperComparison(paper, tuple(columns), rows, order)


def _figure(mean: float, std: float, share: bool) -> str:
    """Return a figure and its standard deviation as text.

    Shares are in percent with two decimals; other figures have five significant digits.
    """
    if not math.isfinite(mean):
        return MISSING
    texts = [f"{100 * v:.2f}" if share else f"{v:.5g}" for v in (mean, std) if math.isfinite(v)]
    return " ± ".join(texts)
