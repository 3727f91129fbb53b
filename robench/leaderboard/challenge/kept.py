"""Challenges of an earlier edition of a board, which stay as long as they are of its networks."""

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from robench.errors import RobenchWarning, UserError
from robench.leaderboard.challenge.files import FOLDER, Challenge
from robench.leaderboard.edition import published_before
from robench.runs.records import BoardResult, CellResult


def with_earlier(result: BoardResult, folder: Path) -> BoardResult:
    """Return a board with the challenges that its folder has of the same networks and ball.

    A network that was trained anew, to other weights, is another one; a warning says how many
    challenges are lost so.

    Args:
        result: the finished board.
        folder: the folder that it is to be published in.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for name in sorted(published_before(folder)):
        if name.startswith(f"{FOLDER}/"):
            named[Path(name).parent.name].append(folder / name)
    if not named:
        return result
    kept = {
        cell.evidence.cell.key: [
            path for path in named[cell.evidence.cell.key] if _holds(path, cell, result, folder)
        ]
        for row in result.rows
        for cell in row.cells
    }
    lost = sum(map(len, named.values())) - sum(map(len, kept.values()))
    if lost > 0:
        what = "1 challenge is" if lost == 1 else f"{lost} challenges are"
        warnings.warn(
            f"{what} no longer published in {folder}: of other networks, or in another ball, than "
            f"those of the board now.",
            RobenchWarning,
            stacklevel=3,
        )
    return with_files(result, kept)


def with_files(result: BoardResult, files: Mapping[str, list[Path]]) -> BoardResult:
    """Return a board with further files of challenges, given by the keys of its cells."""
    rows = tuple(
        replace(
            row,
            cells=tuple(
                replace(
                    cell,
                    challenges=tuple(
                        dict.fromkeys([*cell.challenges, *files.get(cell.evidence.cell.key, [])])
                    ),
                )
                for cell in row.cells
            ),
        )
        for row in result.rows
    )
    return replace(result, rows=rows)


def _holds(path: Path, cell: CellResult, result: BoardResult, folder: Path) -> bool:
    """Return whether a challenge is of a network as it is now, in the ball of the board."""
    evaluation, manifest = result.board.evaluation, cell.evidence.manifest
    try:
        challenge = Challenge.load(path, inside=folder)
    except UserError:
        return False
    return (
        manifest is not None
        and challenge.facts.weights_hash == manifest.weights_hash
        and challenge.threat_model == result.columns[evaluation.main_column].threat_model
        and int(challenge.indices[-1]) < evaluation.samples
    )
