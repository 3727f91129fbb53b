"""``robench reproduce``: the papers' tables and figures, and the state of each."""

from dataclasses import dataclass
from pathlib import Path

from robench.board.board import Board
from robench.board.loading import read_board
from robench.board.shipped import shipped_boards
from robench.errors import UserError
from robench.leaderboard.evidence import SUMS
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.usable import usable_table

NOT_COVERED = (
    ("arXiv:2103.00673", "Table 3", "SNGAN: 'robench gan' trains and measures one; no board yet"),
)
"""Tables and figures that no board reproduces, and why."""


@dataclass(frozen=True)
class State:
    """The state of one table or figure of a paper, as reproduced by one board.

    Attributes:
        source: the paper.
        item: the name of the table or figure in the paper.
        board: the name of the board; "" if no board reproduces the item.
        scale: ``full`` or ``reduced``.
        cells: number of networks that the board trains.
        state: ``published``, ``run`` or ``not run``; ``run, changed`` with other rows, seeds or
            settings than the board's; ``published, damaged`` if it cannot be read; or the reason
            why no board reproduces the item.
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
    found = [
        _state(name, board, path.parent, out / name)
        for name, path in shipped_boards().items()
        if (board := read_board(path)).paper is not None
    ]
    found += [State(source, item, "", "", 0, why, "") for source, item, why in NOT_COVERED]
    return sorted(found, key=lambda state: (state.source, _number(state.item), state.scale))


def _state(name: str, board: Board, home: Path, own: Path) -> State:
    assert board.paper is not None
    state, provenance = "not run", ""
    changed = sorted(own.parent.glob(f"{own.name}-changed-*"))
    for folder, word in ((home, "published"), (own, "run"), *((path, "run") for path in changed)):
        if (folder / SUMS).is_file():
            try:
                found = Leaderboard.read(folder)
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
        len(board.row_specs) * len(board.seeds),
        state,
        provenance,
    )


def _same_specification(done: Board, requested: Board) -> bool:
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


def _provenance(board: Leaderboard) -> str:
    seeds = ", ".join(map(str, board.board.seeds))
    versions = dict.fromkeys(
        v for text in usable_table(board)["version"] for v in str(text).split()
    )
    return f"seeds {seeds}; {board.board.evaluation.samples:,} test images; {' '.join(versions)}"


def _number(item: str) -> tuple[bool, int, str]:
    """Sort key that puts tables before figures, each by number."""
    digits = "".join(c for c in item.split(",")[0] if c.isdigit())
    return item.startswith("Figure"), int(digits or 0), item
