"""Compare the number of images in each file of outcomes with what the board attacks.

Which images they are follows from the data and their number: every cell is evaluated on the first
of one balanced order (:func:`robench.data.balanced_sample`). The files hold no images and no
labels, so that no other order could be recognized from them.
"""

from collections.abc import Iterator

from robench.errors import UserError
from robench.leaderboard.audit.attacks import known_attacks
from robench.leaderboard.published import Leaderboard
from robench.runs.identity import attacked_samples


def length_problems(board: Leaderboard) -> Iterator[str]:
    """Yield where outcomes are not of as many images as the board attacks, one sentence each.

    The number of an attack that is not registered here is that of the first cell, and at most the
    board's.

    Raises:
        UserError: if outcomes are missing or damaged.
    """
    evaluation = board.board.evaluation
    known = known_attacks(evaluation)
    expected = {name: attacked_samples(evaluation, known.built.get(name)) for name in board.columns}
    unknown = {*known.unknown, *known.refused}
    for cell in board.cells:
        for column, outcomes in cell.outcomes.items():
            found, where = len(outcomes), f"'{cell.row}', seed {cell.seed}"
            if column in unknown and 1 <= found <= expected[column]:
                expected[column] = found
                unknown.remove(column)
            elif found != expected[column]:
                yield (
                    f"{where}: the outcomes of {column} are of {found} images, but the board "
                    f"evaluates {expected[column]}."
                )


def check_lengths(board: Leaderboard) -> None:
    """Check that all outcomes of a board are of the images that it evaluates.

    Raises:
        UserError: if they are not, or outcomes are missing or damaged; names the first.
    """
    for problem in length_problems(board):
        raise UserError(
            f"{board.folder}: {problem} 'robench verify' lists all that is wrong; publish it again."
        )
