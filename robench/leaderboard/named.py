"""Find a published leaderboard, one of its networks and that network's weights, by their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.board.cells import Cell
from robench.board.shipped import shipped_boards
from robench.errors import UserError, did_you_mean
from robench.leaderboard.evidence import SOURCES, was_run
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.leaderboard.rerun import find_weights, weights_elsewhere
from robench.leaderboard.rerun.weights import weights_problem
from robench.leaderboard.trust import unknown_to


@dataclass(frozen=True, eq=False)
class PublishedNetwork:
    """A network of a published leaderboard, with the file of its weights.

    Attributes:
        board: the leaderboard as read.
        cell: the cell of the network.
        weights: a file with the sha256 that the manifest says.
    """

    board: Leaderboard
    cell: PublishedCell
    weights: Path


def network_of(name: str, stores: Sequence[Path] = ()) -> PublishedNetwork:
    """Find the network that ``BOARD/ROW`` or ``BOARD/ROW/SEED`` names.

    Args:
        name: the folder of a leaderboard, or the name of one in a store or among those that ship
            with robench; then the title of a row and, unless its first is meant, a seed.
        stores: folders that runs wrote with ``--out``.

    Raises:
        UserError: if there is no such leaderboard, row or seed; the message names the nearest. Or
            if the weights are not here, or not those that were published.
    """
    found = find_network(name, stores)
    if found is None:
        parts = name.split("/")
        raise _not_found(parts[0] if len(parts) < 3 else "/".join(parts[:-1]), stores)
    return found


def find_network(name: str, stores: Sequence[Path] = ()) -> PublishedNetwork | None:
    """Find the network that a name means; None if no leaderboard is called as it begins.

    Raises:
        UserError: as :func:`network_of`, but if there is no such leaderboard.
    """
    parts = name.split("/")
    for count in range(len(parts) - 1, 0, -1):
        folder = _folder("/".join(parts[:count]), stores)
        if folder is not None:
            board = Leaderboard.read(folder)
            row, seed = _row_and_seed(board, "/".join(parts[count:]))
            return published_network(board, row, seed, stores)
    if (folder := _folder(name, stores)) is None:
        return None
    titles = Leaderboard.read(folder).board.titles
    raise UserError(f"'{name}' names no row: write {name}/ROW; {did_you_mean('', titles)}")


def find_leaderboard(name: str, stores: Sequence[Path] = ()) -> Leaderboard:
    """Read the leaderboard of a name; see :func:`network_of`.

    Raises:
        UserError: if there is none; the message names the nearest.
    """
    folder = _folder(name, stores)
    if folder is None:
        raise _not_found(name, stores)
    return Leaderboard.read(folder)


def published_network(
    board: Leaderboard, row: str, seed: int | None, stores: Sequence[Path] = ()
) -> PublishedNetwork:
    """Find the network of a row, and check the hash of its weights.

    Args:
        board: the leaderboard as read.
        row: the title of the row.
        seed: one of its seeds; the first by default.
        stores: folders that runs wrote with ``--out``, where weights may be.

    Raises:
        UserError: as :func:`network_of`.
    """
    titles = list(dict.fromkeys(cell.row for cell in board.cells))
    if row not in titles:
        raise UserError(f"{board.name} has no row '{row}'; {did_you_mean(row, titles)}")
    cells = {cell.seed: cell for cell in board.cells if cell.row == row}
    if seed is not None and seed not in cells:
        known = ", ".join(map(str, cells))
        raise UserError(f"'{row}' of {board.name} has no seed {seed}; it has {known}.")
    cell = next(iter(cells.values())) if seed is None else cells[seed]
    words = f"'{row}', seed {cell.seed}, of {board.name}"
    if cell.file.manifest is None:
        raise UserError(f"the training of {words}, diverged: there are no weights.")
    weights = find_weights(board.folder, cell, stores)
    if weights is None:
        raise UserError(
            f"the weights of {words}, are not here{weights_elsewhere(board)}; name the folder of "
            f"its run as store, or run the board."
        )
    if (problem := weights_problem(board, cell, weights)) is not None:
        raise UserError(problem)
    return PublishedNetwork(board, cell, weights)


def check_known(network: PublishedNetwork) -> None:
    """Check that the entries that a network needs are registered here; no code is run for it.

    Raises:
        UserError: if one is not; the message names its file.
    """
    board = network.board
    if isinstance(network.cell.file.cell, Cell) and (unknown := unknown_to(network.cell, board)):
        first = unknown[0]
        raise UserError(
            f"the network needs the {first.words}, which does not come with robench: read "
            f"{board.folder / SOURCES / first.file}, and load it with --plugin or "
            f"robench.load_plugin."
        )


def _folder(name: str, stores: Sequence[Path]) -> Path | None:
    """Return the folder of a leaderboard; None if there is none of this name."""
    shipped = shipped_boards()
    places = [Path(name), *(store / name for store in stores)]
    places += [shipped[name].parent] if name in shipped else []
    return next((place for place in places if was_run(place)), None)


def _row_and_seed(board: Leaderboard, rest: str) -> tuple[str, int | None]:
    """Split what follows the board: a title may have a slash, or end in a number."""
    if rest in board.board.titles:
        return rest, None
    row, _, seed = rest.rpartition("/")
    return (row, int(seed)) if row and seed.isdecimal() else (rest, None)


def _not_found(name: str, stores: Sequence[Path]) -> UserError:
    places = [path.parent for path in shipped_boards().values()]
    for store in stores:
        places += sorted(path for path in store.glob("*") if path.is_dir())
    known: Iterable[str] = {place.name for place in places if was_run(place)}
    return UserError(
        f"no leaderboard '{name}' found: no folder that 'robench run' published; "
        f"{did_you_mean(name, known)}"
    )
