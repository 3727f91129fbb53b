"""Attack published networks once more, with seeds that whoever published them could not choose."""

import secrets
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd
from torch import nn

from robench.errors import RobenchWarning
from robench.evaluation import evaluate
from robench.expressions import LARGEST_SEED
from robench.leaderboard.holm import holm
from robench.leaderboard.published import PublishedCell
from robench.leaderboard.rerun.comparing import LEVEL, Changes
from robench.leaderboard.rerun.pooling import Tally
from robench.runs.attack_cell import evaluation_images
from robench.runs.context import RunContext

COLUMNS = ("defense", "seed", "column", "published", "found", "other_images", "p", "verdict")

AGREES, REFUTED = "agrees", "not reproduced under fresh seeds"
"""The verdict on a column: not refuted by other random starts, or refuted."""


def draw_fresh_seed() -> int:
    """Return a seed that nobody could know before."""
    return secrets.randbelow(LARGEST_SEED + 1)


def attack_afresh(
    cell: PublishedCell, model: nn.Module, seed: int, ctx: RunContext
) -> tuple[list[dict[str, Any]], Tally]:
    """Attack a network with another seed; return a line per attack, without the verdict, and a sum.

    Args:
        cell: the cell as published.
        model: its network.
        seed: the seed of random starts and orders.
        ctx: the context of the rerun.
    """
    sample = evaluation_images(ctx.dataset, ctx.evaluation.samples)
    options = ctx.evaluation_options(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobenchWarning)  # the first evaluation has said it
        found = evaluate(model, sample.images, sample.labels, ctx.attacks, options=options)
    lines, compared = [], []
    for column, now in found.attacks.items():
        before = cell.outcomes[column]
        changes = Changes.between(before, now)
        compared.append(changes)
        lines.append(
            {
                "defense": cell.row,
                "seed": cell.seed,
                "column": column,
                "published": before.accuracy,
                "found": now.accuracy,
                "other_images": changes.predictions,
                "p": changes.sign_p() if changes.complete else 0.0,
            }
        )
    return lines, Tally.of(cell.row, compared)


def with_verdicts(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the lines of all networks as a table, with a verdict on each.

    Other random starts fool some images that the published ones did not, and the reverse. Refuted
    is a column on which they fool significantly more, or significantly fewer: McNemar's exact test,
    1% for all columns together (Holm).
    """
    table = pd.DataFrame(lines, columns=[*COLUMNS])
    if len(table):
        rejected = holm(table["p"]) <= LEVEL
        table["verdict"] = [REFUTED if wrong else AGREES for wrong in rejected]
    return table
