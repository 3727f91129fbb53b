"""The diagram of a board: its rows by accuracy, and which of them cannot be distinguished."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from robench.board.cells import ExternalCell
from robench.checks.wording import some
from robench.leaderboard.diagram import LIGHT, Diagram, Placed, diagram_svg, is_run
from robench.leaderboard.page.downloads import Download, download
from robench.leaderboard.page.wording import listed, percent
from robench.leaderboard.row import LeaderboardRow
from robench.leaderboard.significance import LEVEL, TESTS

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard

_NAMED = 8
"""How many groups the summary names."""


@dataclass(frozen=True)
class Groups:
    """The diagram on the page.

    Attributes:
        svg: the drawing, in the colors of the page.
        note: which test it shows, and what it does not.
        summary: the groups in words.
        files: the drawing as a file.
    """

    svg: Markup
    note: str
    summary: str
    files: tuple[Download, ...]


def row_groups(board: "Leaderboard") -> Groups | None:
    """Return the diagram of a board; None if fewer than two rows were compared."""
    diagram = group_diagram(board)
    if diagram is None:
        return None
    name, about = f"{board.name}-groups", "the diagram of rows that cannot be distinguished"
    file = download(name, "svg", about, diagram_svg(diagram, LIGHT))
    # Trusted: diagram_svg escapes the names.
    return Groups(Markup(diagram_svg(diagram)), _note(board, diagram), diagram.summary, (file,))


def group_diagram(board: "Leaderboard") -> Diagram | None:
    """Return the rows at their accuracies in the ranking column, joined by the table's letters.

    Rows without figures are left out; None if fewer than two are left.
    """
    column = board.board.evaluation.ranking_column
    table = board.table[board.table[f"{column}_mean"].notna()]
    if len(table) < 2:
        return None
    rows, letters = [], [set(str(group).split()) for group in table["group"]]
    for title, mean in zip(table["defense"], table[f"{column}_mean"].astype(float), strict=True):
        rows.append(Placed(str(title), 100 * mean, percent(mean)))
    each = dict.fromkeys(letter for own in letters for letter in sorted(own))
    members = [tuple(i for i, own in enumerate(letters) if letter in own) for letter in each]
    bars = tuple(group for group in members if len(group) > 1)
    names = [
        " and ".join([", ".join(rows[i].name for i in g[:-1]), rows[g[-1]].name]) for g in bars
    ]
    shown = names[:_NAMED] + ([f"{len(names) - _NAMED} more groups"] if len(names) > _NAMED else [])
    joined = (
        f"Not distinguishable: {'; '.join(shown)}." if names else "Every pair is distinguishable."
    )
    best, worst = rows[0], rows[-1]
    summary = f"From {best.name} ({best.text}%) down to {worst.name} ({worst.text}%). {joined}"
    return Diagram(f"accuracy under {column}, %", tuple(rows), bars, summary)


def _note(board: "Leaderboard", diagram: Diagram) -> str:
    """Return which test joins the rows, and what it leaves open."""
    column, pairs = board.board.evaluation.ranking_column, board.comparisons
    methods = listed([TESTS.get(m, m) for m in sorted(pairs["method"].astype(str).unique())])
    runs = all(is_run(diagram, bar) for bar in diagram.bars)
    dotted = "" if runs else " A thin bar joins only the rows at its dots."
    return (
        f"All rows by their accuracy under {column}, the best on the right. A bar joins rows of "
        f"which no two are distinguishable at the {100 * LEVEL:g}% level: paired comparisons of "
        f"the same {_images(board):,} images by {methods}, corrected for "
        f"{some(len(pairs), 'pair')} (Holm). The bars are the letters of the table.{dotted}"
        f"{_alone(board)}"
    )


def _alone(board: "Leaderboard") -> str:
    """Return which rows are one network each, so that nothing is said of other training runs."""
    if len(board.board.seeds) == 1:
        return (
            " Each row is a single training run: the test is of these networks, and says nothing "
            "of other runs."
        )
    rows = {row.title: LeaderboardRow(board.result, row) for row in board.result.rows}
    names = [f"'{title}'" for title, row in rows.items() if isinstance(row.cell, ExternalCell)]
    if not names:
        return ""
    are = "are single networks" if len(names) > 1 else "is a single network"
    return f" {listed(names)} {are} from elsewhere, compared as such and not as a recipe."


def _images(board: "Leaderboard") -> int:
    """Return how many images the ranking column covers, as many for all rows."""
    rows = (LeaderboardRow(board.result, row) for row in board.result.rows)
    column = board.board.evaluation.ranking_column
    return next((row.images(column) for row in rows if not row.diverged), 0)
