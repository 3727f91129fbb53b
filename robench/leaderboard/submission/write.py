"""Write the folder of a submission: a published leaderboard of a few rows, with their weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from robench.board.cells import Cell, ExternalCell
from robench.errors import UserError, did_you_mean
from robench.leaderboard.audit.lengths import check_lengths
from robench.leaderboard.bundle import Bundle, completed, data_name, published_bundle
from robench.leaderboard.evidence import SUMS, read_sums, weights_name, write_sums
from robench.leaderboard.publish import publish as publish_board
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.rerun import find_weights
from robench.leaderboard.submission.inspection import inspect_submission
from robench.leaderboard.submission.limits import check_name, shown
from robench.leaderboard.submission_readme import README, submission_readme
from robench.runs.records import BoardResult
from robench.system.files import write_text
from robench.system.provenance import file_hash
from robench.system.staging import check_empty, new_folder


def write_submission(
    board: Leaderboard, rows: Sequence[str], folder: Path, stores: Sequence[Path]
) -> list[Path]:
    """Write rows of a published board as a folder that can be added by pull request.

    It is a published leaderboard of these rows, with ``weights/CELL.safetensors``, the code of
    entries that do not come with robench, and a README.

    Args:
        board: the board as read.
        rows: the titles of the rows.
        folder: the folder to write; new or empty.
        stores: run stores whose ``cells`` hold the weights, besides the one that the board was
            published in.

    Returns:
        The files.

    Raises:
        UserError: if a row, its weights or its code are not found, or the weights are not those of
            the board; if outcomes are not of the images that the board evaluates; or if ``robench
            check-submission`` would refuse the folder.
    """
    titles = board.board.titles
    for row in rows:
        if row not in titles:
            raise UserError(f"{board.name} has no row '{row}'; {did_you_mean(row, titles)}")
    if not rows:
        raise UserError("name at least one row to submit.")
    check_lengths(board)
    weights = {}
    for cell in board.cells:
        if cell.row not in rows or cell.file.manifest is None:
            continue
        path = find_weights(board.folder, cell, stores)
        if path is None:
            raise UserError(
                f"the weights of '{cell.row}', seed {cell.seed}, are not here; name the folder of "
                f"the run with --store."
            )
        if file_hash(path) != cell.file.manifest.weights_hash:
            raise UserError(f"{path} does not hold the weights of {board.name}.")
        weights[cell.file.cell.key] = path
    specs = [cell.file.cell for cell in board.cells if cell.row in rows]
    files = [spec.file for spec in specs if isinstance(spec, ExternalCell) and spec.file]
    codes = [board.folder / "model" / name for name in files]
    trained = [spec for spec in specs if isinstance(spec, Cell)]
    bundle = completed(published_bundle(board, trained), board.board, trained)
    name = data_name(board.board, board.dataset, bundle)
    return publish(_reduced(board.result, rows, name), weights, codes, folder, bundle)


def publish(
    result: BoardResult,
    weights: Mapping[str, Path],
    codes: Sequence[Path],
    folder: Path,
    bundle: Bundle,
) -> list[Path]:
    """Write a result as a submission, and validate it as ``robench check-submission`` does.

    Args:
        result: the rows that are submitted, and no others.
        weights: cell key -> safetensors file.
        codes: the ``.py`` files that build third-party networks.
        folder: the folder to write; new or empty.
        bundle: the code of entries that do not come with robench.

    Returns:
        The files.

    Raises:
        UserError: if the folder is not empty, cannot be written, or would be refused.
    """
    check_empty(folder)
    for title in result.board.titles:
        check_name(title, f"the row's title {shown(title)}")
    with new_folder(folder) as stage:
        written = _write(result, weights, codes, stage, bundle)
        inspect_submission(stage)
    return sorted(folder / path.relative_to(stage) for path in written)


def _write(
    result: BoardResult,
    weights: Mapping[str, Path],
    codes: Sequence[Path],
    folder: Path,
    bundle: Bundle,
) -> list[Path]:
    networks = {weights_name(key): path for key, path in weights.items()}
    networks |= {f"model/{path.name}": path for path in codes}
    table = publish_board(result, folder, bundle, networks)
    write_text(folder / README, submission_readme(result, table, bundle))
    written = [*(folder / name for name in read_sums(folder)), folder / README]
    write_sums(folder, written)
    return [*written, folder / SUMS]


def _reduced(result: BoardResult, rows: Sequence[str], data: str) -> BoardResult:
    """Return these rows only, on the data set of this name."""
    board = result.board
    kept = board.model_copy(
        update={
            "defenses": tuple(name for name in board.defenses if name in rows),
            "arms": tuple(row for row in board.arms if row.title in rows),
            "external": tuple(title for title in board.external if title in rows),
            "baseline": board.baseline if board.baseline in rows else "",
            "data": board.data.model_copy(update={"name": data}),
        }
    )
    own = tuple(row for row in result.rows if row.title in rows)
    return BoardResult(kept, result.dataset, result.columns, own)
