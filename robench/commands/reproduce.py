"""``robench reproduce``: the papers' tables and figures, and the state of each."""

from dataclasses import dataclass
from pathlib import Path

from robench.board.board import Board
from robench.board.loading import read_board
from robench.board.shipped import shipped_boards, shipped_gan_boards
from robench.errors import UserError
from robench.gan.board import GanBoard, read_gan_board
from robench.leaderboard.evidence import SUMS
from robench.leaderboard.gans.published import GanLeaderboard, holds_gans
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.usable import usable_table


@dataclass(frozen=True)
class State:
    """The state of one table or figure of a paper, as reproduced by one board.

    Attributes:
        source: the paper.
        item: the name of the table or figure in the paper.
        board: the name of the board.
        scale: ``full`` or ``reduced``.
        cells: number of networks that the board trains.
        state: ``published``, ``run`` or ``not run``; ``run, changed`` with other rows, seeds or
            settings than the board's; ``published, damaged`` if it cannot be read.
        provenance: seeds, test images and commit of the run, or what is wrong with it.
    """

    source: str
    item: str
    board: str
    scale: str
    cells: int
    state: str
    provenance: str


def states(out: Path) -> list[State]:
    """Return the state of each table and figure, paper by paper, in the paper's order.

    Args:
        out: the folder of the user's own runs, searched for boards that are not published.

    Raises:
        UserError: if a board is damaged.
    """
    boards: list[tuple[str, Path, Board | GanBoard]] = [
        *((name, path, read_board(path)) for name, path in shipped_boards().items()),
        *((name, path, read_gan_board(path)) for name, path in shipped_gan_boards().items()),
    ]
    found = [
        _state(name, board, path.parent, out / name)
        for name, path, board in boards
        if board.paper is not None
    ]
    return sorted(found, key=lambda state: (state.source, _number(state.item), state.scale))


def _state(name: str, board: Board | GanBoard, home: Path, own: Path) -> State:
    assert board.paper is not None
    state, provenance = "not run", ""
    changed = sorted(own.parent.glob(f"{own.name}-changed-*"))
    for folder, word in ((home, "published"), (own, "run"), *((path, "run") for path in changed)):
        if (folder / SUMS).is_file():
            try:
                found = (
                    GanLeaderboard.read(folder) if holds_gans(folder) else Leaderboard.read(folder)
                )
                done = _provenance(found)
            except UserError as error:
                # An incomplete folder of an interrupted run must not hide the state of the others.
                state, provenance = f"{word}, damaged", str(error)
                break
            unchanged = _same_specification(found.board, board)
            state, provenance = word if unchanged else f"{word}, changed", done
            break
    return State(
        board.paper.source,
        board.paper.item,
        name,
        board.paper.scale,
        _networks(board) * len(board.seeds),
        state,
        provenance,
    )


def _networks(board: Board | GanBoard) -> int:
    """Return how many networks a board trains for each seed."""
    if isinstance(board, GanBoard):
        return board.networks
    return len(board.row_specs)


def _same_specification(done: Board | GanBoard, requested: Board | GanBoard) -> bool:
    """Return whether a leaderboard has all rows and settings of a board.

    Texts may differ, and so may whether and where the weights are published: no figure depends
    on them.

    Its data set has another name: the name of a folder instead of its path.
    """
    one, other = (
        board.model_dump(
            exclude={
                "title": True,
                "description": True,
                "paper": True,
                "publish_weights": True,
                "weights_at": True,
                "data": {"name"},
            }
        )
        for board in (done, requested)
    )
    return one == other


def _provenance(board: Leaderboard | GanLeaderboard) -> str:
    seeds = ", ".join(map(str, board.board.seeds))
    if isinstance(board, GanLeaderboard):
        measured = board.board.measure.protocols[0]
        commits = dict.fromkeys(one.version for one in board.evidence)
        return f"seeds {seeds}; {measured.samples:,} samples; {' '.join(commits)}"
    versions = dict.fromkeys(
        v for text in usable_table(board)["version"] for v in str(text).split()
    )
    return f"seeds {seeds}; {board.board.evaluation.samples:,} test images; {' '.join(versions)}"


def _number(item: str) -> tuple[bool, int, str]:
    """Sort key that puts tables before figures, each by number."""
    digits = "".join(c for c in item.split(",")[0] if c.isdigit())
    return item.startswith("Figure"), int(digits or 0), item
