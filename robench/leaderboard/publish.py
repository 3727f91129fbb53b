"""Write the folder of a leaderboard: its table and the evidence for each cell."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from robench.board.writing import board_text
from robench.errors import UserError
from robench.leaderboard.bundle import Bundle
from robench.leaderboard.comparison import Comparison
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.evidence import (
    BOARD,
    COMPARISONS,
    PAGE,
    SOURCES,
    SUMS,
    TABLE,
    TOML,
    BoardFile,
    CellFile,
    outcome_path,
    read_sums,
    weights_name,
    write_sums,
)
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.runs.records import BoardResult, CellResult, Evidence, OutcomeFiles
from robench.runs.store import CellFolder, RunStore
from robench.system.files import json_text, write_bytes, write_json
from robench.system.provenance import file_hash


def publish(
    result: BoardResult,
    folder: Path,
    bundle: Bundle | None = None,
    networks: Mapping[str, Path] | None = None,
) -> pd.DataFrame:
    """Compare the rows of a finished board, build its table and write its folder.

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


def write_leaderboard(
    result: BoardResult,
    table: pd.DataFrame,
    comparison: Comparison,
    folder: Path,
    bundle: Bundle | None = None,
    networks: Mapping[str, Path] | None = None,
) -> Path:
    """Write the files that :mod:`robench.leaderboard.evidence` lists.

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
    before, listed = _published_before(folder), _listed(folder)
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
    if TOML in before or not (folder / TOML).exists():  # never over a file that somebody wrote
        texts[TOML] = board_text(result.board)
    contents = {name: text.encode() for name, text in texts.items()}
    contents |= {f"{SOURCES}/{name}": content for name, content in bundle.files.items()}
    for name, content in contents.items():
        write_bytes(folder / name, content)
    written = [folder / name for name in contents]
    for name, path in (networks or {}).items():
        written.append(_copy(path, folder / name))
    written += _write_cells(result, folder)
    write_sums(folder, written)
    gone = before - {path.relative_to(folder).as_posix() for path in written}
    if _listed(folder) != listed:
        gone.add(PAGE)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    return folder / TABLE


def _write_cells(result: BoardResult, folder: Path) -> list[Path]:
    written: list[Path] = []
    names: set[str] = set()
    for row in result.rows:
        for cell in row.cells:
            path = folder / "manifests" / _unique(row.title, cell.seed, names)
            known = {name: getattr(cell.evidence, name) for name in Evidence.model_fields}
            file = CellFile(row=row.title, costs=row.costs, **known)
            write_json(path, file.model_dump(mode="json"))
            written += [path, *_copy_outcomes(cell, folder)]
    return written


def _listed(folder: Path) -> bytes:
    """Return the list of checksums; empty if there is none."""
    try:
        return (folder / SUMS).read_bytes()
    except OSError:
        return b""


def _published_before(folder: Path) -> set[str]:
    """Return the files of an earlier run; none if its checksums are damaged."""
    try:
        return set(read_sums(folder))
    except UserError:
        return set()


def _copy_outcomes(cell: CellResult, folder: Path) -> list[Path]:
    """Copy the files byte for byte: their hashes are in the manifest."""
    if cell.evidence.manifest is None:
        return []
    assert isinstance(cell.outcomes, OutcomeFiles)
    keys = {entry.column: key for key, entry in cell.evidence.manifest.outcomes.items()}
    copies = []
    for column, source in cell.outcomes.paths.items():
        copies.append(_copy(source, outcome_path(folder, cell.evidence.cell.key, keys[column])))
    return copies


def _copy(source: Path, target: Path) -> Path:
    try:
        write_bytes(target, source.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {source}: {error.strerror or error}.") from error
    return target


def _unique(title: str, seed: int, names: set[str]) -> str:
    """Return a unique file name; titles that differ only in punctuation get a number."""
    slug = "".join(c if c.isalnum() else "_" for c in title).strip("_")[:60] or "row"
    number, name = 1, f"{slug}-seed{seed}.json"
    while name.casefold() in names:
        number += 1
        name = f"{slug}-{number}-seed{seed}.json"
    names.add(name.casefold())
    return name
