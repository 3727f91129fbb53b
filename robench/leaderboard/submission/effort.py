"""How much the check of a submission computes: its files must not decide that alone."""

import re
from math import prod
from pathlib import Path

from robench.attack_tools.libraries import LibraryAttack
from robench.base import Attack
from robench.board.board import Board
from robench.board.plan import build_attacks
from robench.board.specs import EvaluationSpec
from robench.errors import UserError
from robench.leaderboard.published import Leaderboard

MOST_EVALUATIONS = 200_000_000
"""Evaluations of an image by a network, for all attacks on all networks of a submission: some hours
for small networks. AutoAttack on 10,000 images takes about 50 million."""

_CHECKS = 3000
"""Evaluations per image that the checks take, at most."""


def check_effort(board: Leaderboard, networks: int) -> None:
    """Refuse attacks that would take too long, before any of them is started.

    Args:
        board: the submission.
        networks: how many networks are attacked.

    Raises:
        UserError: if they take more than :data:`MOST_EVALUATIONS`; says how to run them anyway.
    """
    planned = networks * evaluations(board.board.evaluation)
    if planned > MOST_EVALUATIONS:
        raise UserError(
            f"the attacks of {board.folder} would take up to {planned:.1e} evaluations of an "
            f"image, and {MOST_EVALUATIONS:,} are computed for files of a stranger; compare them "
            f"with those of your own board by --attacks-of BOARD, or attack fewer --rows."
        )


def evaluations(evaluation: EvaluationSpec) -> int:
    """Return how often the attacks and checks of a board evaluate a network on one image, roughly.

    Raises:
        UserError: if an attack is not registered.
    """
    attacks = build_attacks(evaluation).values()
    attacked = sum(
        min(attack.samples or evaluation.samples, evaluation.samples) * _per_image(attack)
        for attack in attacks
    )
    checked = min(evaluation.check_samples, evaluation.samples) if evaluation.checks else 0
    return attacked + checked * _CHECKS


def _per_image(attack: Attack) -> int:
    """Return an estimate from the options: steps and queries add up, restarts multiply them.

    Libraries name their options as they like, so that for them all numbers are multiplied.
    """
    if isinstance(attack, LibraryAttack):
        return prod(_counts(dict(attack.options)).values())
    counts = _counts(vars(attack))
    repeated = prod(value for name, value in counts.items() if "restart" in name)
    return repeated * max(1, sum(v for name, v in counts.items() if "restart" not in name))


def _counts(options: dict[str, object]) -> dict[str, int]:
    """Return the options that are numbers above 1, rounded down."""
    return {
        name: int(value)
        for name, value in options.items()
        if isinstance(value, (int, float)) and 1 < value < float("inf") and name != "samples"
    }


def other_attacks(submitted: Board, own: Board) -> str | None:
    """Return how a submission was evaluated otherwise than a board; None if alike.

    Args:
        submitted: the board of the submission.
        own: the board that it is for.
    """
    left_out = {"rank_by", "batch_size"}
    pairs = {
        f"evaluation.{name}": (value, getattr(own.evaluation, name))
        for name, value in submitted.evaluation
        if name not in left_out
    }
    pairs["ranking column"] = submitted.evaluation.ranking_column, own.evaluation.ranking_column
    pairs["data.name"] = _data_name(submitted), _data_name(own)
    for name, (theirs, ours) in pairs.items():
        if theirs != ours:
            return f"its {name} is {str(theirs)[:80]}, but the board has {str(ours)[:80]}."
    return None


def _data_name(board: Board) -> str:
    """Return the name of a data set without a folder or commit; its images are compared later."""
    name = re.sub(r"^(hf:[^@(]+)@[^(]+", r"\1", board.data.name)
    return name if name.startswith("hf:") else Path(name.removeprefix("image_folder:")).name
