"""What a column of a board means, so that figures are compared only with their like."""

from robench.board.ranking import BEST_KNOWN, CORRUPTION, WORST_CASE
from robench.leaderboard.page.wording import listed, threat_model_text
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.row import corruptions, roles, worst_case_attacks


def compared_columns(board: Leaderboard) -> list[str]:
    """Return the accuracies of a board that are compared: of corruptions only their mean."""
    return [name for name, own in roles(board.result).items() if "corruption" not in own]


def shared_columns(
    first: Leaderboard, second: Leaderboard
) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Return the columns that mean the same on two boards, and what the others mean on each.

    A name alone does not say it: an attack takes its radius from ``evaluation.defaults``, and the
    worst case is over the attacks that a board has.
    """
    same, other = [], {}
    known = set(compared_columns(second))
    for name in compared_columns(first):
        if name not in known:
            continue
        one, two = _meaning(first, name), _meaning(second, name)
        if one == two:
            same.append(name)
        else:
            other[name] = (one, two)
    return same, other


def _meaning(board: Leaderboard, column: str) -> str:
    """Return the ball of an attack, or the columns that a combined one is over and their balls."""
    evaluation = board.board.evaluation
    if column == CORRUPTION:
        return f"over {listed(corruptions(board.columns))}"
    if column not in (WORST_CASE, BEST_KNOWN):
        return threat_model_text(board.columns[column].threat_model) or "no ball"
    names = worst_case_attacks(board.columns, evaluation) or [evaluation.main_column]
    balls = dict.fromkeys(threat_model_text(board.columns[name].threat_model) for name in names)
    return f"over {listed(names)} ({listed(list(balls))})"
