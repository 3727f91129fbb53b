"""Compare what a board of GANs says of its paper with the boards that ship with robench."""

from collections.abc import Iterator

from robench.board.shipped import shipped_gan_boards
from robench.gan.board import read_gan_board
from robench.leaderboard.audit.shipped import other_figures
from robench.leaderboard.gans.published import GanLeaderboard


def shipped_gan_notes(board: GanLeaderboard) -> Iterator[str]:
    """Yield where a board of GANs prints other figures of a paper, a sentence each."""
    if board.board.paper is not None:
        shipped = shipped_gan_boards().items()
        papers = {other: read_gan_board(path).paper for other, path in shipped}
        yield from other_figures(board.board.paper, papers)
