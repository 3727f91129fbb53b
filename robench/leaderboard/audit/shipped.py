"""Compare what a board says of its paper and its race with the boards that ship with robench."""

from collections.abc import Iterator, Mapping

from robench.board.loading import read_board
from robench.board.paper import Paper
from robench.board.shipped import shipped_boards
from robench.leaderboard.published import Leaderboard


def shipped_notes(board: Leaderboard) -> Iterator[str]:
    """Yield where a board has another goal, or prints other figures of a paper, a sentence each.

    Whoever writes a board may choose its goal, and says what a paper printed: nothing in the folder
    tells whether that is so.
    """
    spec, shipped, name = board.board, shipped_boards(), board.name
    if name in shipped and read_board(shipped[name]).goal != spec.goal:
        yield f"its goal, which is not that of the board '{name}' that ships with robench."
    if spec.paper is not None:
        papers = {other: read_board(path).paper for other, path in shipped.items()}
        yield from other_figures(spec.paper, papers)


def other_figures(there: Paper, papers: Mapping[str, Paper | None]) -> Iterator[str]:
    """Yield the figures that shipped boards of the same table have otherwise, or not at all."""
    alike = {
        name: here
        for name, here in papers.items()
        if here is not None and (here.source, here.item) == (there.source, there.item)
    }
    if not alike:
        return
    for row, figures in there.figures.items():
        for column, printed in figures.items():
            known = {
                name: here.figures[row][column]
                for name, here in alike.items()
                if column in here.figures.get(row, {})
            }
            figure = f"the paper's figure for '{row}' and {column}, {_words(printed)}"
            if not known:
                yield f"{figure}: no board that ships with robench has one."
            for name, other in known.items():
                if other != printed:
                    yield (
                        f"{figure}: the board '{name}' that ships with robench has {_words(other)}."
                    )


def _words(printed: tuple[float, ...]) -> str:
    return " ± ".join(f"{figure:g}" for figure in printed)
