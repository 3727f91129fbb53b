"""Publish challenges with a board."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from robench.errors import UserError
from robench.leaderboard.bundle import published_bundle
from robench.leaderboard.challenge.files import Challenge, challenge_name
from robench.leaderboard.challenge.kept import with_files
from robench.leaderboard.derived import derived_tables
from robench.leaderboard.edition import replace_edition
from robench.leaderboard.evidence import COMPARISONS, TABLE, read_sums
from robench.leaderboard.merged_folder import check_files
from robench.leaderboard.publish import published_alone
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.submission_readme import README, submission_readme
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.system.files import write_bytes


def add_challenges(folder: Path, found: Mapping[str, Challenge]) -> Leaderboard:
    """Publish a board again with further challenges; only its tables change otherwise.

    Args:
        folder: the folder of the board.
        found: cell key -> challenge of its network.

    Returns:
        The board as it is published now.

    Raises:
        UserError: if a file is not as it was published, or the folder cannot be written.
    """
    contents = {key: challenge.content() for key, challenge in found.items()}
    new = {challenge_name(key, content): content for key, content in contents.items()}
    with published_alone(folder), tempfile.TemporaryDirectory() as scratch:
        board = Leaderboard.read(folder)
        check_files(board)
        _check_weights(board, found)
        for name, content in new.items():
            write_bytes(Path(scratch) / name, content)
        files = {Path(name).parent.name: [Path(scratch) / name] for name in new}
        result = with_files(board.result, files)
        comparison = compare_rows(result)
        table = leaderboard(result, comparison)
        tables = {TABLE: table, COMPARISONS: comparison.pairs, **derived_tables(result, table)}
        texts = {name: to_csv(part) for name, part in tables.items()}
        sums = read_sums(folder)
        if README in sums:
            texts[README] = submission_readme(result, table, published_bundle(board))
        made = {name: text.encode() for name, text in texts.items()}
        replace_edition(folder, {**{name: folder / name for name in sums}, **new, **made})
        return Leaderboard.read(folder)


def _check_weights(board: Leaderboard, found: Mapping[str, Challenge]) -> None:
    """Check that the networks are those that were challenged, before the board was locked."""
    for cell in board.cells:
        challenge, manifest = found.get(cell.file.cell.key), cell.file.manifest
        if challenge and manifest and challenge.facts.weights_hash != manifest.weights_hash:
            raise UserError(
                f"{board.folder} was published with other weights meanwhile; challenge them again."
            )
