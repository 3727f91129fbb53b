"""What the page says of the attack that a row's defense ships against itself."""

from typing import TYPE_CHECKING

from robench.base import ThreatModel
from robench.board.cells import Cell
from robench.board.ranking import ADAPTIVE
from robench.errors import UserError
from robench.leaderboard.page.cells import threat_model
from robench.registry import defenses

if TYPE_CHECKING:
    from robench.leaderboard.published import Leaderboard, PublishedCell

HEADING = "Adaptive attack"


def adaptive_facts(board: "Leaderboard", cells: "list[PublishedCell]") -> list[tuple[str, str]]:
    """Return heading and text on a row's adaptive attack; empty if nothing is known of it.

    That a defense needs none is what its author says, in a defense that is registered here.

    Args:
        board: the board as read.
        cells: the cells of the row.
    """
    spec = cells[0].file.cell
    if not isinstance(spec, Cell):
        return []
    ball = threat_model(board) or ThreatModel("linf", 8 / 255)
    try:
        defense = defenses.build(spec.defense)
        attack = defense.adaptive_attack(ball)
    except UserError:
        return []  # of a plugin that is not loaded, or that has none in this ball
    if attack is None:
        return [(HEADING, defense.adaptive_note)] if defense.adaptive_note else []
    names = [name.partition("(")[0] for name in board.board.evaluation.attacks]
    ran = "" if ADAPTIVE in names else "; this board does not run it"
    return [(HEADING, f"The defense ships one, {type(attack).__name__}{ran}.")]
