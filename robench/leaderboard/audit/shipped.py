"""Compare what a board says of its paper and its race with the boards that ship with robench."""

from collections.abc import Iterator

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
    if spec.paper is None:
        return
    for other, path in shipped.items():
        paper = read_board(path).paper
        if paper is not None:
            yield from _other_figures(spec.paper, paper, other)


def _other_figures(there: Paper, here: Paper, name: str) -> Iterator[str]:
    if (there.source, there.item) != (here.source, here.item):
        return
    for row, figures in there.figures.items():
        for column, printed in figures.items():
            known = here.figures.get(row, {}).get(column, printed)
            if known != printed:
                yield (
                    f"the paper's figure for '{row}' and {column}, {_words(printed)}: the board "
                    f"'{name}' that ships with robench has {_words(known)}."
                )


def _words(printed: tuple[float, ...]) -> str:
    return " ± ".join(f"{figure:g}" for figure in printed)
