"""Export of the comparison with a paper's figures, as Markdown or LaTeX."""

from collections.abc import Callable

import pandas as pd

from robench.errors import UserError
from robench.leaderboard.export import (
    escape_latex,
    escape_markdown,
    latex_table,
    markdown_table,
)
from robench.leaderboard.page.paper_comparison import ComparedFigure, paper_comparison
from robench.leaderboard.published import Leaderboard


def paper_to_markdown(board: Leaderboard) -> str:
    """Return the paper's figures and ours as a Markdown table.

    The table has one row per defense and, for each column of the paper, its figure, ours and the
    difference; accuracies and success rates are in percent. The caption says how far the order of
    the rows agrees.

    Raises:
        UserError: if the board has no figures of a paper.
    """
    return markdown_table(*_table(board, escape_markdown))


def paper_to_latex(board: Leaderboard) -> str:
    r"""Return the same as LaTeX; needs ``\usepackage{booktabs}``; see :func:`paper_to_markdown`."""
    return latex_table(*_table(board, escape_latex))


def _table(board: Leaderboard, escape: Callable[[str], str]) -> tuple[pd.DataFrame, str]:
    """Return the escaped cells and the escaped caption."""
    comparison = paper_comparison(board)
    if comparison is None or not comparison.rows:
        raise UserError(f"{board.name} has no figures of a paper to compare with.")
    heads = ["defense"]
    for column in comparison.columns:
        heads += [f"{column}, paper", f"{column}, ours", "difference"]
    lines = [[title, *_texts(cells)] for title, cells in comparison.rows]
    escaped = [[escape(text) for text in line] for line in lines]
    about = (
        f"{comparison.paper.item} of {comparison.paper.source}, its figures in the columns named "
        f"paper, compared with {board.board.title}."
    )
    caption = " ".join(escape(sentence) for sentence in (about, *comparison.order))
    return pd.DataFrame(escaped, columns=[escape(head) for head in heads]), caption


def _texts(cells: tuple[ComparedFigure | None, ...]) -> list[str]:
    return [
        text
        for cell in cells
        for text in ((cell.paper, cell.ours, cell.difference) if cell else ("", "", ""))
    ]
