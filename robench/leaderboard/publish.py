"""Write the folder of a leaderboard: its table and the evidence for each cell."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from robench.board.writing import board_text
from robench.errors import UserError
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.challenge.files import FOLDER
from robench.leaderboard.challenge.kept import with_earlier
from robench.leaderboard.comparison import Comparison
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.edition import is_own, replace_edition
from robench.leaderboard.evidence import (
    BOARD,
    COMPARISONS,
    FILE_BYTES,
    SOURCES,
    TABLE,
    TOML,
    BoardFile,
    CellFile,
    file_name,
    outcome_path,
    weights_name,
)
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.runs.records import BoardResult, CellResult, Evidence, OutcomeFiles
from robench.runs.store import CellFolder, RunStore
from robench.system.files import json_text
from robench.system.locks import sole_writer
from robench.system.provenance import file_hash
from robench.system.reading import read_bytes

PATIENCE = 60.0
"""Seconds to wait for another process that publishes into the same folder: it takes a few."""


def publish(
    result: BoardResult,
    folder: Path,
    bundle: Bundle | None = None,
    networks: Mapping[str, Path] | None = None,
) -> pd.DataFrame:
    """Compare the rows of a finished board, build its table and write its folder.

    The folder keeps the challenges of networks that are the same as before.

    Args:
        result: the finished board.
        folder: the folder to write; its name becomes the board's name.
        bundle: the code of entries that do not come with robench.
        networks: name in the folder -> file, of weights and code of networks that are published.

    Returns:
        The leaderboard's table.

    Raises:
        UserError: if it cannot be written.
    """
    with published_alone(folder):
        result = with_earlier(result, folder)
        comparison = compare_rows(result)
        table = leaderboard(result, comparison)
        write_leaderboard(result, table, comparison, folder, bundle, networks)
    return table


def trained_networks(result: BoardResult, store: RunStore) -> dict[str, Path]:
    """Return the weights of a board's networks for :func:`publish`.

    Args:
        result: the finished board.
        store: the store that it was run in.

    Raises:
        UserError: if weights are missing or are not those that were attacked.
    """
    found: dict[str, Path] = {}
    for row in result.rows:
        for cell in row.cells:
            manifest, key = cell.evidence.manifest, cell.evidence.cell.key
            if manifest is None:
                continue
            path = CellFolder(store.root / key).weights
            if not path.is_file() or file_hash(path) != manifest.weights_hash:
                raise UserError(
                    f"{path} does not hold the weights that were attacked, and the board is to "
                    f"publish them; remove the folder {path.parent} and run the board again."
                )
            found[weights_name(key)] = path
    return found


def published_alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from publishing into a folder; the same thread may enter again.

    It waits for one that does so: runs of one board that share their work end at the same time.

    Raises:
        UserError: if another process goes on publishing there, or it cannot be written.
    """
    return sole_writer(folder, "is publishing into", keep=False, patience=PATIENCE)


def write_leaderboard(
    result: BoardResult,
    table: pd.DataFrame,
    comparison: Comparison,
    folder: Path,
    bundle: Bundle | None = None,
    networks: Mapping[str, Path] | None = None,
) -> Path:
    """Write the files that :mod:`robench.leaderboard.evidence` lists; hold the folder's lock.

    Files that an earlier run published there and this one does not are removed, and so is the page
    of another leaderboard; all other files in the folder are left alone.

    Args:
        result: the finished board.
        table: the table built from it.
        comparison: the comparison of its rows.
        folder: the folder to write; its name becomes the board's name.
        bundle: the code of entries that do not come with robench.
        networks: name in the folder -> file, of weights and code of networks that are published.

    Returns:
        The path of ``leaderboard.csv``.

    Raises:
        UserError: if it cannot be written.
    """
    # All tables are built before anything is written, so that no half leaderboard is left behind.
    derived = derived_tables(result, table)
    bundle = bundle or Bundle()
    head = BoardFile(
        name=folder.name,
        dataset=result.dataset,
        columns=dict(result.columns),
        board=result.board,
        sources=bundle.entries,
    )
    texts = {
        BOARD: json_text(head.model_dump(mode="json")),
        TABLE: to_csv(table),
        COMPARISONS: to_csv(comparison.pairs),
        **{name: to_csv(part) for name, part in derived.items()},
    }
    # Never over a file that somebody wrote, or has edited since it was published.
    if is_own(folder, TOML):
        texts[TOML] = board_text(result.board)
    contents: dict[str, bytes | Path] = {name: text.encode() for name, text in texts.items()}
    contents |= {f"{SOURCES}/{name}": content for name, content in bundle.files.items()}
    contents |= _cells(result)
    contents |= _challenges(result)
    contents |= networks or {}
    replace_edition(folder, contents)
    return folder / TABLE


def _cells(result: BoardResult) -> dict[str, bytes]:
    """Return the manifests of all cells and their outcomes: relative path -> content."""
    contents: dict[str, bytes] = {}
    names: set[str] = set()
    for row in result.rows:
        for cell in row.cells:
            known = {name: getattr(cell.evidence, name) for name in Evidence.model_fields}
            file = CellFile(row=row.title, costs=row.costs, **known)
            name = f"manifests/{file_name(row.title, cell.seed, names)}"
            contents[name] = json_text(file.model_dump(mode="json")).encode()
            contents |= _outcomes(cell)
    return contents


def _challenges(result: BoardResult) -> dict[str, Path]:
    """Return the files of challenges: relative path -> file."""
    return {
        f"{FOLDER}/{cell.evidence.cell.key}/{path.name}": path
        for row in result.rows
        for cell in row.cells
        for path in cell.challenges
    }


def _outcomes(cell: CellResult) -> dict[str, bytes]:
    """Return the files byte for byte: their hashes are in the manifest."""
    if cell.evidence.manifest is None:
        return {}
    assert isinstance(cell.outcomes, OutcomeFiles)
    keys = {entry.column: key for key, entry in cell.evidence.manifest.outcomes.items()}
    contents = {}
    for column, source in cell.outcomes.paths.items():
        target = outcome_path(Path(), cell.evidence.cell.key, keys[column])
        contents[target.as_posix()] = read_bytes(source, longest=FILE_BYTES)
    return contents
