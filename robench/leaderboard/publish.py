"""Write the folder of a leaderboard: its table and the evidence for each cell."""

from pathlib import Path

import pandas as pd

from robench.errors import UserError
from robench.leaderboard.comparison import Comparison
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.evidence import (
    BOARD,
    COMPARISONS,
    TABLE,
    BoardFile,
    CellFile,
    outcome_path,
    read_sums,
    write_sums,
)
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.runs.records import BoardResult, CellResult, Evidence, OutcomeFiles
from robench.system.files import write_bytes, write_json, write_text


def publish(result: BoardResult, folder: Path) -> pd.DataFrame:
    """Compare the rows of a finished board, build its table and write its folder.

    Args:
        result: the finished board.
        folder: the folder to write; its name becomes the board's name.

    Returns:
        The leaderboard's table.

    Raises:
        UserError: if it cannot be written.
    """
    comparison = compare_rows(result)
    table = leaderboard(result, comparison)
    write_leaderboard(result, table, comparison, folder)
    return table


def write_leaderboard(
    result: BoardResult, table: pd.DataFrame, comparison: Comparison, folder: Path
) -> Path:
    """Write the files that :mod:`robench.leaderboard.evidence` lists.

    Files that an earlier run published there and this one does not are removed; all other files in
    the folder are left alone.

    Args:
        result: the finished board.
        table: the table built from it.
        comparison: the comparison of its rows.
        folder: the folder to write; its name becomes the board's name.

    Returns:
        The path of ``leaderboard.csv``.

    Raises:
        UserError: if it cannot be written.
    """
    # All tables are built before anything is written, so that no half leaderboard is left behind.
    derived = derived_tables(result, table)
    before = _published_before(folder)
    head = BoardFile(
        name=folder.name, dataset=result.dataset, columns=dict(result.columns), board=result.board
    )
    written = [folder / name for name in (BOARD, TABLE, COMPARISONS)]
    write_json(written[0], head.model_dump(mode="json"))
    write_text(written[1], to_csv(table))
    write_text(written[2], to_csv(comparison.pairs))
    for name, part in derived.items():
        written.append(folder / name)
        write_text(written[-1], to_csv(part))
    names: set[str] = set()
    for row in result.rows:
        for cell in row.cells:
            path = folder / "manifests" / _unique(row.title, cell.seed, names)
            known = {name: getattr(cell.evidence, name) for name in Evidence.model_fields}
            file = CellFile(row=row.title, costs=row.costs, **known)
            write_json(path, file.model_dump(mode="json"))
            written += [path, *_copy_outcomes(cell, folder)]
    write_sums(folder, written)
    for name in before - {path.relative_to(folder).as_posix() for path in written}:
        (folder / name).unlink(missing_ok=True)
    return folder / TABLE


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
        target = outcome_path(folder, cell.evidence.cell.key, keys[column])
        try:
            write_bytes(target, source.read_bytes())
        except OSError as error:
            raise UserError(f"cannot read {source}: {error.strerror or error}.") from error
        copies.append(target)
    return copies


def _unique(title: str, seed: int, names: set[str]) -> str:
    """Return a unique file name; titles that differ only in punctuation get a number."""
    slug = "".join(c if c.isalnum() else "_" for c in title).strip("_")[:60] or "row"
    number, name = 1, f"{slug}-seed{seed}.json"
    while name.casefold() in names:
        number += 1
        name = f"{slug}-{number}-seed{seed}.json"
    names.add(name.casefold())
    return name
