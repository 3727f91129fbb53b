"""Files that a page holds as links: its tables as CSV and LaTeX, saved without a script."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from robench.leaderboard.derived import PAPER
from robench.leaderboard.evidence import TABLE
from robench.leaderboard.export import escape_latex, latex_table, to_latex
from robench.leaderboard.export_paper import paper_to_latex
from robench.leaderboard.page.wording import MISSING, percent
from robench.leaderboard.table import to_csv

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

TYPES = {"csv": "text/csv", "tex": "text/x-tex", "svg": "image/svg+xml"}
LABELS = {"csv": "CSV", "tex": "LaTeX", "svg": "SVG"}

_LITERAL = "!$()*+,-./:;=@[]_~{}|\\^"
"""What may stand in a data URI as it is; "?" and "#" would end it, "&" and quotes grow in HTML."""


@dataclass(frozen=True)
class Download:
    """A file in the page.

    Attributes:
        file: the name that it is saved by.
        label: what the link says: the format.
        about: what is in it, for those who cannot see what the link is below.
        uri: its content as a data URI.
    """

    file: str
    label: str
    about: str
    uri: str


def download(name: str, ending: str, about: str, content: str) -> Download:
    """Return a file to be linked.

    Args:
        name: the file's name without its ending; what a file system may refuse is replaced.
        ending: a key of :data:`TYPES`.
        about: what is in it, such as "the ranking".
        content: its text.
    """
    uri = f"data:{TYPES[ending]};charset=utf-8,{quote(content, safe=_LITERAL)}"
    return Download(f"{file_stem(name)}.{ending}", LABELS[ending], about, uri)


def file_stem(name: str) -> str:
    """Return a name with one hyphen for what is neither a letter of ASCII nor a digit."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:80] or "robench"


def table_files(name: str, about: str, csv: str, latex: str) -> tuple[Download, ...]:
    """Return a table as CSV and LaTeX; see :func:`download`."""
    return (download(name, "csv", about, csv), download(name, "tex", about, latex))


def ranking_files(board: "Leaderboard") -> tuple[Download, ...]:
    """Return ``leaderboard.csv`` and what ``robench export --format latex`` prints.

    Raises:
        UserError: if the table lacks a column that the board names.
    """
    latex = to_latex(board.table, board.board, board.columns)
    name = f"{board.name}-{TABLE.removesuffix('.csv')}"
    return table_files(name, "the ranking", to_csv(board.table), latex)


def paper_files(board: "Leaderboard") -> tuple[Download, ...]:
    """Return ``paper.csv`` and what ``export --beside-paper`` prints; nothing without such a table.

    Raises:
        UserError: if the comparison with the paper cannot be made.
    """
    if board.board.paper is None or PAPER not in board.derived:
        return ()
    name = f"{board.name}-{PAPER.removesuffix('.csv')}"
    csv, about = to_csv(board.derived[PAPER]), "the comparison with the paper"
    return table_files(name, about, csv, paper_to_latex(board))


def accuracy_files(
    name: str, about: str, table: pd.DataFrame, heads: Sequence[str]
) -> tuple[Download, ...]:
    """Return a table of accuracies as CSV, with its own headers, and LaTeX, in percent.

    Args:
        name: the files' name without ending.
        about: what the table shows, a phrase that begins with a capital.
        table: the column ``defense``, then accuracies as fractions.
        heads: what LaTeX has as headers of the accuracies.
    """
    titles = [escape_latex(str(title)) for title in table["defense"]]
    figures = [
        [percent(share).replace(MISSING, "--") for share in row]
        for row in table.iloc[:, 1:].to_numpy(float)
    ]
    cells = [[title, *row] for title, row in zip(titles, figures, strict=True)]
    columns = ["defense", *(escape_latex(head) for head in heads)]
    latex = latex_table(pd.DataFrame(cells, columns=columns), escape_latex(f"{about}, in percent."))
    return table_files(name, about[0].lower() + about[1:], to_csv(table), latex)
