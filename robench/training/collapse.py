"""Collapse, or catastrophic overfitting: adversarial training that loses what it had gained.

Training on inputs that one gradient step has moved can collapse from one epoch to the next (Wong,
Rice and Kolter 2020, arXiv:2001.03994): the network becomes right on its training inputs, and PGD
fools it almost everywhere. Neither the loss nor the clean accuracy shows it, so that PGD attacks a
few validation images after each epoch (:mod:`robench.training.robust_accuracy`).
"""

from collections.abc import Mapping, Sequence

from robench.errors import warn

LEAST = 0.2
"""Accuracy under PGD from which on there is something to lose."""

KEPT = 1 / 3
"""The share of it that a training which has not collapsed keeps more than."""


def collapse_of(log: Sequence[Mapping[str, float | None]]) -> str | None:
    """Return what a log says of a collapse that training did not recover from, or None.

    Args:
        log: a row for each epoch, with ``epoch``, ``train_accuracy`` and ``val_robust``; a log
            without the latter says nothing.
    """
    seen = [tuple(map(row.get, ("epoch", "train_accuracy", "val_robust"))) for row in log]
    known = [(e, t, r) for e, t, r in seen if e and t is not None and r is not None and r >= 0]
    if len(known) < 2 or known[-1][0] != seen[-1][0]:
        return None
    *earlier, (now, fits, left) = known
    best, fitted, most = max(earlier, key=lambda row: row[2])
    if most < LEAST or left > KEPT * most or fits < fitted:
        return None
    return (
        f"Under PGD-10, accuracy on a few validation images fell from {most:.1%} after epoch "
        f"{best:g} to {left:.1%} after epoch {now:g}, while that on the inputs trained on went "
        f"from {fitted:.1%} to {fits:.1%}: training has collapsed."
    )


def warn_of_collapse(log: Sequence[Mapping[str, float | None]]) -> None:
    """Warn in the epoch in which training collapses, the last of the log, and not again."""
    if (said := collapse_of(log)) and not collapse_of(log[:-1]):
        warn(said, stacklevel=2)
