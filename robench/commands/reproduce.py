"""Tables and figures of papers, and the state of each: board, scale, whether it is run."""

from dataclasses import dataclass
from pathlib import Path

from robench.board.board import Board
from robench.board.loading import read_board, shipped_boards
from robench.errors import UserError
from robench.leaderboard.evidence import SUMS
from robench.leaderboard.published import Leaderboard

NOT_COVERED = (
    ("arXiv:2103.00673", "Table 3", "SNGAN: image generation; robench trains classifiers"),
)
"""What no board makes again, and why."""


@dataclass(frozen=True)
class State:
    """How far one table or figure of a paper is reproduced by one board.

    Attributes:
        source: the paper.
        item: as the paper calls it.
        board: name of the board; "" where there is none.
        scale: ``full`` or ``reduced``.
        cells: networks that it trains.
        state: ``published``, ``run`` or ``not run``; ``run, changed`` with other rows, seeds or
            settings than the board's; ``published, damaged`` where it cannot be read; or why
            there is no board.
        stands_on: seeds, test images and commit of what was run, or what is wrong with it.
    """

    source: str
    item: str
    board: str
    scale: str
    cells: int
    state: str
    stands_on: str


def states(out: Path) -> list[State]:
    """Return the state of each table and figure, paper by paper, in the paper's order.

    Args:
        out: the folder of the reader's own runs, where boards that are not published are looked
            for.

    Raises:
        UserError: where a board is damaged.
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
    state, stands_on = "not run", ""
    for folder, word in ((home, "published"), (own, "run")):
        if (folder / SUMS).is_file():
            try:
                found = Leaderboard.read(folder)
            except UserError as error:
                # One folder that a run left half-written must not hide the state of the others.
                state, stands_on = f"{word}, damaged", str(error)
                break
            whole = _judged_alike(found.board, board)
            state, stands_on = word if whole else f"{word}, changed", _stands_on(found)
            break
    return State(
        board.paper.source,
        board.paper.item,
        name,
        board.paper.scale,
        len(board.row_specs) * len(board.seeds),
        state,
        stands_on,
    )


def _judged_alike(done: Board, asked: Board) -> bool:
    """Return whether a leaderboard is of all rows and settings of a board, whatever its texts.

    Its data set has another name: that of a folder, not the way to it.
    """
    one, other = (
        board.model_dump(
            exclude={"title": True, "description": True, "paper": True, "data": {"name"}}
        )
        for board in (done, asked)
    )
    return one == other


def _stands_on(board: Leaderboard) -> str:
    seeds = ", ".join(map(str, board.board.seeds))
    versions = dict.fromkeys(v for text in board.table["version"] for v in str(text).split())
    return f"seeds {seeds}; {board.board.evaluation.samples:,} test images; {' '.join(versions)}"


def _number(item: str) -> tuple[bool, int, str]:
    """Order tables before figures, each by its number."""
    digits = "".join(c for c in item.split(",")[0] if c.isdigit())
    return item.startswith("Figure"), int(digits or 0), item
