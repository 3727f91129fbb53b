"""The paper's figures beside ours, and whether the order of the rows is the same."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.board.paper import Paper, is_share
from robench.leaderboard.derived import ORDER, PAPER
from robench.leaderboard.page.wording import MISSING
from robench.leaderboard.paper import told

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Cell:
    """A figure of the paper, ours and the difference, as text."""

    paper: str
    ours: str
    difference: str


@dataclass(frozen=True)
class Beside:
    """What the page shows of the paper; everything is text to be escaped."""

    paper: Paper
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    order: tuple[str, ...]


def beside_paper(board: "Leaderboard") -> Beside | None:
    """Return the paper's figures with ours; None where the board makes no paper's experiment."""
    paper = board.board.paper
    if paper is None:
        return None
    cells: dict[str, dict[str, Cell]] = defaultdict(dict)
    columns: dict[str, None] = {}
    for line in board.derived[PAPER].to_dict("records") if PAPER in board.derived else []:
        column, share = str(line["column"]), is_share(str(line["column"]))
        columns[column] = None
        difference = _figure(abs(line["difference"]), math.nan, share)
        sign = MINUS if line["difference"] < 0 else "+"
        cells[line["defense"]][column] = Cell(
            _figure(line["paper"], line["paper_std"], share),
            _figure(line["ours"], line["ours_std"], share),
            difference if difference == MISSING else sign + difference,
        )
    rows = tuple((t, tuple(found.get(c) for c in columns)) for t, found in cells.items())
    order = tuple(told(board.derived[ORDER])) if ORDER in board.derived else ()
    return Beside(paper, tuple(columns), rows, order)


def _figure(mean: float, std: float, share: bool) -> str:
    """Return a figure with its spread: shares in percent to two digits, others to five."""
    if not math.isfinite(mean):
        return MISSING
    texts = [f"{100 * v:.2f}" if share else f"{v:.5g}" for v in (mean, std) if math.isfinite(v)]
    return " ± ".join(texts)
