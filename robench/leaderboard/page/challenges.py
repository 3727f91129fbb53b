"""What the page says of the adversarial images that others found."""

from typing import TYPE_CHECKING

from robench.leaderboard.challenge.files import Challenge

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard


def challenge_sentences(board: "Leaderboard") -> list[str]:
    """Return one sentence per challenge: the network, how many images fool it, and their source.

    Raises:
        UserError: if a challenge is damaged.
    """
    found = []
    for cell in board.cells:
        for path in cell.result.challenges:
            challenge = Challenge.load(path, inside=board.folder)
            count = len(challenge.indices)
            images = "1 image" if count == 1 else f"{count:,} images"
            source = challenge.facts.source or "their source is not named"
            found.append(f"{cell.row}, seed {cell.seed}: {images}; {source}")
    return found
