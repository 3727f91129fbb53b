"""Corrupted images, which no network had a part in, are those of the other rows, too."""

from collections.abc import Iterator

from robench.evaluation.outcomes import relative_difference
from robench.leaderboard.published import Leaderboard, PublishedCell

OTHERWISE = 0.05
"""Relative difference of two lengths that no rounding and no other decoder of images explains."""

MOST = 0.01
"""Share of the images that may differ by more."""


def corruption_problems(board: Leaderboard) -> Iterator[str]:
    """Yield the columns of corruptions in which a row has other images than one of the same seed.

    A corruption depends on the image, its place and the seed, so that all networks see the same:
    lengths that differ are those of another column, or were changed.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    corruptions = [name for name, column in board.columns.items() if column.corrupts]
    first: dict[tuple[str, int], PublishedCell] = {}
    for cell in board.cells:
        for column in corruptions:
            if column not in cell.outcomes:
                continue
            other = first.setdefault((column, cell.seed), cell)
            mine, theirs = cell.outcomes[column].l2, other.outcomes[column].l2
            if len(mine) != len(theirs):
                continue  # said of its lengths
            if (relative_difference(mine, theirs) > OTHERWISE).mean() > MOST:
                yield (
                    f"'{cell.row}', seed {cell.seed}: the images of {column} are not those of "
                    f"'{other.row}', though no network has a part in them."
                )
