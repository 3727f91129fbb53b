"""Write the folder of a merged board: a new one, of boards whose files are as published."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from robench.board.cells import ExternalCell
from robench.errors import UserError, shortened
from robench.leaderboard.bundle import Bundle, joined, published_bundle
from robench.leaderboard.evidence import broken_sums, read_sums, weights_name
from robench.leaderboard.merge import merge_boards
from robench.leaderboard.pictures import draw_pictures
from robench.leaderboard.publish import publish
from robench.leaderboard.published import Leaderboard, PublishedCell
from robench.runs.records import BoardResult
from robench.system.provenance import file_hash
from robench.system.staging import check_empty, new_folder


def write_merged(boards: Sequence[Leaderboard], folder: Path) -> tuple[BoardResult, pd.DataFrame]:
    """Merge boards into a new folder; see :func:`robench.leaderboard.merge.merge_boards`.

    Args:
        boards: the boards as read.
        folder: the folder to write; new or empty.

    Returns:
        The merged board and its table.

    Raises:
        UserError: if the folder is not empty or cannot be written, a file of a board is not as it
            was published, or the boards cannot be merged.
    """
    check_empty(folder)
    for board in boards:
        check_files(board)
    result, bundle = merge_boards(boards), merged_bundle(boards)
    networks = network_files(boards)
    with new_folder(folder) as stage:
        table = publish(result, stage, bundle, networks)
        draw_pictures(result, table, stage)
    return result, table


def check_files(board: Leaderboard) -> None:
    """Check that all files of a board are as they were published.

    Raises:
        UserError: if one is missing or differs; the message names it.
    """
    broken = broken_sums(board.folder, read_sums(board.folder))
    if broken:
        further = f", and {len(broken) - 1} more are not either" if len(broken) > 1 else ""
        raise UserError(
            f"{shortened(broken[0], 200)} is not as {board.folder} was published (it is missing, "
            f"or its checksum differs){further}; 'robench verify {board.folder}' lists what is "
            f"wrong."
        )


def merged_bundle(boards: Sequence[Leaderboard]) -> Bundle:
    """Return the code that came with boards, for the folder of the merged board.

    Raises:
        UserError: if an entry has other code on one board than on another.
    """
    return joined([published_bundle(board) for board in boards])


def network_files(boards: Sequence[Leaderboard]) -> dict[str, Path]:
    """Return the weights in the folders of boards, and the code of third-party networks.

    ``robench verify`` attacks them again.

    Args:
        boards: the boards that are merged.

    Returns:
        Name in a board's folder -> file; none for networks whose weights no board has.

    Raises:
        UserError: if a file is not the one that the manifest of its board describes, or two
            networks are built by different files of the same name.
    """
    sources: dict[str, Path] = {}
    hashes: dict[str, str] = {}
    for board in boards:
        for cell in board.cells:
            for name, digest in _files_of(cell).items():
                if hashes.setdefault(name, digest) != digest and name.startswith("model/"):
                    raise UserError(
                        f"two networks are built by different files named {name}; rename one."
                    )
                path = board.folder / name
                if not path.is_file():
                    continue
                if file_hash(path) != digest:
                    raise UserError(
                        f"{path} is not the file that the manifest of '{cell.row}', seed "
                        f"{cell.seed}, describes; copy the published one again."
                    )
                if digest == hashes[name]:
                    sources.setdefault(name, path)
    return sources


def _files_of(cell: PublishedCell) -> dict[str, str]:
    """Return the files of a cell's network and their hashes."""
    spec, manifest = cell.file.cell, cell.file.manifest
    if manifest is None:
        return {}
    files = {weights_name(spec.key): manifest.weights_hash}
    if isinstance(spec, ExternalCell) and spec.file:
        files[f"model/{spec.file}"] = spec.code_hash or ""
    return files
