"""Compare the rows of a board with what they are called, and with each other."""

from collections.abc import Iterator

from robench.board.titles import mistaken_for
from robench.checks.report import VERSION
from robench.leaderboard.published import Leaderboard


def title_problems(board: Leaderboard) -> Iterator[str]:
    """Yield which rows have the name of another defense, one sentence each.

    The names of rows are free, but a reader takes the row 'convnorm' for ConvNorm.
    """
    for spec in board.board.row_specs:
        if other := mistaken_for(spec.title, spec.defense):
            yield f"the row '{spec.title}' is {spec.defense}, but is named like {other}."
    for title in board.board.external:
        if other := mistaken_for(title, None):
            yield f"the row '{title}' is a third-party network, but is named like {other}."


def earlier_checks(board: Leaderboard) -> list[str]:
    """Return a sentence on the rows whose checks are of an earlier version, if there are any."""
    earlier = {
        cell.row
        for cell in board.cells
        if cell.file.checks is not None and cell.file.checks.version != VERSION
    }
    rows = [f"'{title}'" for title in board.board.titles if title in earlier]
    if not rows:
        return []
    return [
        f"the checks of {', '.join(rows)}, which an earlier version of robench made: those of "
        f"today may flag them."
    ]


def twin_notes(board: Leaderboard) -> Iterator[str]:
    """Yield which networks stand in two rows, under two names, one sentence each."""
    first: dict[str, str] = {}
    for cell in board.cells:
        other = first.setdefault(cell.file.cell.key, cell.row)
        if other != cell.row:
            yield (
                f"'{cell.row}', seed {cell.seed}, is the network of '{other}', too: a row counts "
                f"in ranks, although it is no other network."
            )
