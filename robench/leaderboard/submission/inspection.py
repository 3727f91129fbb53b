"""Validate a submission's files without executing anything."""

from pathlib import Path

from robench.board.cells import Cell, ExternalCell
from robench.errors import UserError
from robench.leaderboard.audit.challenges import challenge_problems
from robench.leaderboard.evidence import BOARD, SUMS, TOML, read_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission import limits
from robench.leaderboard.submission.arrays import check_outcomes
from robench.leaderboard.submission.documents import check_contents, check_document
from robench.leaderboard.submission.layout import TABLES, check_layout
from robench.leaderboard.submission.limits import check_text, check_visible, shown
from robench.leaderboard.submission.tensors import check_weights
from robench.leaderboard.submission_readme import README
from robench.leaderboard.trust import source_problems
from robench.system.reading import Refused, read_text

_TEXTS = (README, SUMS, TOML, *TABLES)


def inspect_submission(folder: Path) -> Leaderboard:
    """Validate every file of a submission and return it as a leaderboard.

    Nothing in it is executed or unpickled, and nothing is unpacked before its size is known.
    Whether its figures are correct is not checked here.

    Raises:
        UserError: if a file is invalid; names the first one.
    """
    found = check_layout(folder)
    for name in sorted(found):
        if name == BOARD or name.startswith("manifests/"):
            check_document(folder / name, name)
        elif name in _TEXTS or name.startswith(("model/", "sources/")):
            _check_readable(folder / name, name)
    summed = set(read_sums(folder)) | {SUMS}
    if odd := sorted(found ^ summed):
        where = f"is not in {SUMS}" if odd[0] in found else f"is in {SUMS} but missing"
        raise UserError(f"{shown(odd[0])} {where}; write the folder with 'robench submit'.")
    board = Leaderboard.read(folder)
    check_contents(board)
    wanted = _wanted(board)
    for kind in ("outcomes/", "weights/", "model/"):
        present = {name for name in found if name.startswith(kind)}
        if odd := sorted(present ^ {name for name in wanted if name.startswith(kind)}):
            where = "belongs to no cell" if odd[0] in found else "is missing"
            raise UserError(f"{shown(odd[0])} {where}; write the folder with 'robench submit'.")
    for problem in challenge_problems(board, dict.fromkeys(found, "")):
        raise UserError(f"{problem} Write the folder with 'robench submit'.")
    if problems := source_problems(board):
        raise UserError(f"{problems[0]} Write the folder with 'robench submit'.")
    for name, cell in wanted.items():
        if name.startswith("outcomes/"):
            check_outcomes(folder / name, name)
        elif name.startswith("weights/"):
            check_weights(folder / name, name, cell)
    return board


def _wanted(board: Leaderboard) -> dict[str, Cell | ExternalCell]:
    """Return the files that the manifests refer to, with the cell that each belongs to."""
    wanted: dict[str, Cell | ExternalCell] = {}
    for cell in board.cells:
        spec, manifest = cell.file.cell, cell.file.manifest
        if manifest is None:
            continue
        wanted |= {f"outcomes/{spec.key}/{key}.npz": spec for key in manifest.outcomes}
        wanted[f"weights/{spec.key}.safetensors"] = spec
        if isinstance(spec, ExternalCell) and spec.file:
            wanted[f"model/{spec.file}"] = spec
    return wanted


def _check_readable(path: Path, name: str) -> None:
    """Check that text to be shown to a maintainer or in a message has no invisible characters."""
    try:
        lines = read_text(path, longest=limits.TEXT_BYTES).split("\n")
    except Refused as error:
        raise UserError(f"{shown(name)} is not text: {error.reason}.") from None
    for number, line in enumerate(lines, start=1):
        text, what = line.expandtabs().removesuffix("\r"), f"line {number} of {shown(name)}"
        if name == README:
            check_text(text, what)
        else:
            check_visible(text, what)
