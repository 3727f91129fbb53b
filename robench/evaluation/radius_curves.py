"""Accuracy at every radius at once, from attacks that look for the smallest perturbation.

An attack in a ball tells the accuracy at one radius. One that minimizes the size of what fools the
network (:attr:`robench.Attack.minimized_norm`) tells it at all of them: at each radius, the images
that it fooled with a perturbation of that size or less are lost.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robench.attack_tools.threat_models import Norm
from robench.errors import UserError
from robench.evaluation.evaluation import Evaluation
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.validation import TOLERANCE
from robench.system.figures import new_figure, plain_text, save_figure

WORST_CASE = "worst case"
"""The name of all attacks together."""

MATCHES = 0.01
"""By which share of the smallest size that is known another one may exceed it and still match."""


def radius_curves(
    attacks: Evaluation | Mapping[str, Outcomes],
    norm: Norm,
    radii: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return accuracy against the radius of a ball, for each attack and for all of them together.

    An image is lost at a radius if its clean prediction is wrong, or if the prediction on what the
    attack made of it is wrong and that is no farther away; as where attacks are checked to keep to
    their balls, rounding of 1e-6 is allowed. So the accuracy at the radius of an attack in a ball
    is that of the attack. The worst case has for each image the smallest perturbation by which any
    of the attacks fooled it, on the first images, which all of the attacks were given.

    Args:
        attacks: an evaluation, whose certificates are left out, or name -> outcomes on the same
            network and images, without those of certificates, which fool nothing.
        norm: the norm of the balls; attacks that minimize another one do not do themselves justice.
        radii: where the accuracies are wanted; by default at 0 and wherever one of them changes.

    Returns:
        Columns ``attack``, ``eps``, ``accuracy`` (a share of the images), by attack and radius; if
        there are several attacks, the last rows are those of the ``worst case``.

    Raises:
        UserError: if there is no attack, the norm is unknown, or outcomes are of other images.
    """
    sizes = _all_sizes(attacks, norm)
    if len(sizes) > 1:
        sizes[WORST_CASE] = _smallest(sizes.values())
    return pd.concat(
        [
            pd.DataFrame({"eps": at, "accuracy": _accuracies(own, at)}).assign(attack=name)
            for name, own in sizes.items()
            for at in [_steps(own) if radii is None else np.asarray(radii, dtype=np.float64)]
        ],
        ignore_index=True,
    )[["attack", "eps", "accuracy"]]


def compare_sizes(attacks: Evaluation | Mapping[str, Outcomes], norm: Norm) -> pd.DataFrame:
    """Return how small the perturbations of attacks are, against the smallest that is known.

    The smallest that is known of an image is the smallest by which any of these attacks fooled it;
    images that none of them fooled, and clean mistakes, are left out of the last two columns. Both
    of these say how near an attack is to it, and depend on which other attacks there are:

    - ``matches_best`` is the share of the images on which the attack's size is at most 1% larger.
    - ``local_optimality`` is AttackBench's (Cinà et al. 2024, arXiv 2404.19460): how much of the
      area between the clean accuracy and the worst case's curve lies above the attack's curve, up
      to the radius at which nothing is left. 1 is the worst case itself, 0 an attack that fools
      nothing within that radius. It weighs how much too large sizes are, which ``matches_best``
      does not. The curves are integrated exactly; AttackBench's code uses the trapezoidal rule.

    Args:
        attacks: an evaluation, whose certificates are left out, or name -> outcomes on the same
            network and images, without those of certificates, which fool nothing.
        norm: the norm of the sizes.

    Returns:
        Columns ``attack``; ``median_size``, within which half of the images are fooled that were
        attacked, infinite if they never are; ``matches_best``; ``local_optimality``. The last two
        are computed on the first images, which all of the attacks were given, and nan if there is
        nothing to compare, as with a single attack. If there are several, the last row is that of
        the ``worst case``.

    Raises:
        UserError: if there is no attack, the norm is unknown, or outcomes are of other images.
    """
    sizes = _all_sizes(attacks, norm)
    best, several = _smallest(sizes.values()), len(sizes) > 1
    if several:
        sizes[WORST_CASE] = best
    known = (best > 0) & np.isfinite(best) & several
    return pd.DataFrame(
        {
            "attack": name,
            "median_size": _median(own),
            "matches_best": _matching(own[: len(best)][known], best[known]),
            "local_optimality": _local_optimality(own[: len(best)][known], best[known]),
        }
        for name, own in sizes.items()
    )


def draw_curves(curves: pd.DataFrame, caption: str, path: Path) -> None:
    """Draw accuracy against the radius, a panel for each norm, to a file.

    Args:
        curves: tables of :func:`radius_curves` below one another, with a column ``norm``.
        caption: what the curves are computed from, printed below.
        path: the file; its suffix sets the format: ``.svg``, ``.png`` or ``.pdf``.
    """
    norms = curves["norm"].unique()
    figure = new_figure(6 * len(norms), 4)
    panels = figure.subplots(1, len(norms), squeeze=False)[0]
    for axes, norm in zip(panels, norms, strict=True):
        panel = curves[curves["norm"] == norm]
        for name, curve in panel.groupby("attack", sort=False):
            style = {"color": "black", "linestyle": "--"} if name == WORST_CASE else {}
            label = plain_text(str(name))
            axes.step(curve["eps"], 100 * curve["accuracy"], where="post", label=label, **style)
        axes.set(xlabel=f"radius ({norm})", ylabel="accuracy, %", ylim=(0, 100), xlim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.supxlabel(plain_text(caption), fontsize="small")
    save_figure(figure, path)


Lengths = NDArray[np.float64]


def _all_sizes(attacks: Evaluation | Mapping[str, Outcomes], norm: Norm) -> dict[str, Lengths]:
    """Return by how much each attack had to move each image to fool the network.

    It is 0 for clean mistakes, also where a corruption turned the prediction to the right one, and
    infinite for other images that were not fooled.

    Raises:
        UserError: if there is no attack, the norm is unknown, or outcomes are of other images.
    """
    if isinstance(attacks, Evaluation):
        found = attacks.attacks.items()
        attacks = {name: o for name, o in found if name not in attacks.certificates}
    if not attacks:
        raise UserError("there is no attack whose sizes could be compared; name at least one.")
    if norm not in get_args(Norm):
        raise UserError(f"outcomes have sizes in linf and l2, but none in {norm!r}.")
    count = min(map(len, attacks.values()))
    first, *others = attacks
    for name in others:
        if not np.array_equal(attacks[name].correct[:count], attacks[first].correct[:count]):
            raise UserError(
                f"'{first}' and '{name}' are not on the same network and images: their clean "
                f"predictions differ; compare attacks of one evaluation."
            )
    return {
        name: np.where(o.correct, np.where(o.robust, np.inf, getattr(o, norm)), 0).astype(float)
        for name, o in attacks.items()
    }


def _smallest(sizes: Iterable[Lengths]) -> Lengths:
    """Return the smallest size of each image that all attacks were given."""
    several = list(sizes)
    count = min(map(len, several))
    smallest: Lengths = np.min([own[:count] for own in several], axis=0)
    return smallest


def _steps(sizes: Lengths) -> Lengths:
    """Return the radii at which an accuracy changes, after 0."""
    return np.unique(np.append(sizes[np.isfinite(sizes)], 0))


def _accuracies(sizes: Lengths, radii: Lengths) -> Lengths:
    reached = radii + TOLERANCE * np.maximum(1, radii)
    lost = np.searchsorted(np.sort(sizes), reached, side="right")
    accuracies: Lengths = (len(sizes) - lost) / len(sizes)
    return accuracies


def _median(sizes: Lengths) -> float:
    """Return the size within which half of the images are fooled that were attacked."""
    attacked = np.sort(sizes[sizes > 0])
    return float(attacked[(len(attacked) - 1) // 2]) if len(attacked) else math.nan


def _matching(sizes: Lengths, best: Lengths) -> float:
    return float((sizes <= (1 + MATCHES) * best).mean()) if len(best) else math.nan


def _local_optimality(sizes: Lengths, best: Lengths) -> float:
    """Return the share of the area that an attack takes of what the best known one takes.

    The curve of one image falls from 1 to 0 at its size: above it lies, up to the largest of the
    best sizes, what is left between the two.
    """
    largest = best.max(initial=0)
    most = (largest - best).sum()
    return float((largest - sizes.clip(max=largest)).sum() / most) if most > 0 else math.nan
