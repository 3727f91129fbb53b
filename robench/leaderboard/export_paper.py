"""A paper's figures beside ours, as Markdown or LaTeX."""

from collections.abc import Callable

import pandas as pd

from robench.errors import UserError
from robench.leaderboard.export import (
    escape_latex,
    escape_markdown,
    latex_table,
    markdown_table,
)
from robench.leaderboard.page.beside_paper import Cell, beside_paper
from robench.leaderboard.published import Leaderboard


def paper_to_markdown(board: Leaderboard) -> str:
    """Return a board's figures beside the paper's as a Markdown table, the order told below.

    A row a defense; for each column that the paper has: its figure, ours and the difference;
    accuracies and success rates in percent.

    Raises:
        UserError: where the board has no figures of a paper.
    """
    return markdown_table(*_told(board, escape_markdown))


def paper_to_latex(board: Leaderboard) -> str:
    r"""Return it as LaTeX, with ``\usepackage{booktabs}``; see :func:`paper_to_markdown`."""
    return latex_table(*_told(board, escape_latex))


def _told(board: Leaderboard, escape: Callable[[str], str]) -> tuple[pd.DataFrame, str]:
    beside = beside_paper(board)
    if beside is None or not beside.rows:
        raise UserError(f"{board.name} has no figures of a paper to stand beside.")
    heads = ["defense"]
    for column in beside.columns:
        heads += [f"{column}, paper", f"{column}, ours", "difference"]
    lines = [[title, *_texts(cells)] for title, cells in beside.rows]
    escaped = [[escape(text) for text in line] for line in lines]
    about = (
        f"{beside.paper.item} of {beside.paper.source}, its figures in the columns named paper, "
        f"beside {board.board.title}."
    )
    caption = " ".join(escape(sentence) for sentence in (about, *beside.order))
    return pd.DataFrame(escaped, columns=[escape(head) for head in heads]), caption


def _texts(cells: tuple[Cell | None, ...]) -> list[str]:
    return [
        text
        for cell in cells
        for text in ((cell.paper, cell.ours, cell.difference) if cell else ("", "", ""))
    ]
