"""Compare what was run with what the board specifies."""

from collections import Counter
from collections.abc import Iterator, Mapping

from robench.board.board import RowSpec
from robench.board.cells import ExternalCell
from robench.board.plan import resolve_row
from robench.errors import UserError, shortened
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.sources import other_source


def plan_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where cells are missing, surplus or not those of the board, one sentence each."""
    published = {(cell.row, cell.seed) for cell in board.cells}
    count = Counter(cell.row for cell in board.cells)
    titles, seeds = set(board.board.titles), set(board.board.seeds)
    specs = {spec.title: spec for spec in reversed(board.board.row_specs)}
    for title in board.board.titles:
        if title in board.board.external:
            if count[title] != 1:
                yield f"'{title}' is a third-party network and must have exactly one manifest."
            continue
        for seed in board.board.seeds:
            if (title, seed) not in published:
                yield f"'{title}', seed {seed}, is on the board but has no manifest."
    if len({cell.file.cell.data_hash for cell in board.cells}) > 1:
        yield "its rows were evaluated on different data."
    for cell in board.cells:
        if cell.row not in titles or cell.seed not in seeds:
            yield f"'{cell.row}', seed {cell.seed}, has a manifest but is not on the board."
        elif (wrong := _deviation(board, specs, cell)) is not None:
            yield f"'{cell.row}', seed {cell.seed}: {wrong}"


def _deviation(
    published: Leaderboard, specs: Mapping[str, RowSpec], cell: PublishedCell
) -> str | None:
    """Return how a cell's specification deviates from the board; None if equal or not known.

    Args:
        published: the board as read.
        specs: title -> row to train.
        cell: the cell.
    """
    done, board, dataset = cell.file.cell, published.board, published.dataset
    if isinstance(done, ExternalCell) != (cell.row in board.external):
        return "it must be a third-party network in both its manifest and the board, or in neither."
    if isinstance(done, ExternalCell):
        planned_data = board.data.model_copy(update={"name": dataset})
        return None if done.data == planned_data else "its data are not those of the board."
    try:
        row = resolve_row(board, specs[cell.row])
    except UserError:
        return None  # an entry of a plugin that is not loaded: its recipe is not known here
    if (wrong := other_source(done, row.entries, _python(cell))) is not None:
        return wrong
    (planned,) = row.cells([cell.seed], dataset, done.data_hash)
    for name, value in planned.model_dump(exclude=_OF_SOURCES).items():
        if (other := done.model_dump()[name]) != value:
            return (
                f"its {name} is {shortened(other, 200)}, but the board says "
                f"{shortened(value, 200)}."
            )
    return None


_OF_SOURCES = {"plugin_hash", "sources", "version"}


def _python(cell: PublishedCell) -> str:
    """Return the version of Python that a cell was trained with, or ""."""
    return cell.file.manifest.environment.get("python", "") if cell.file.manifest else ""
