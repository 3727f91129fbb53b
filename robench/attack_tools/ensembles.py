"""The model as the parts of an attack that is made of attacks see it."""

from collections.abc import Callable

import torch
from torch import Tensor

from robench.attack_tools.batching import run_batched
from robench.attack_tools.losses import fooled, margin, predict, right
from robench.attack_tools.victims import as_victim
from robench.base import LogitsModel, SearchKeeper, VictimModel

GRADIENT = 3
"""What a forward with a gradient costs, in forwards."""


class PartModel(VictimModel):
    """A model under attack that tells the whole attack how far a part of it has come.

    Args:
        model: the model as the whole attack sees it.
        classes: the number of its classes.
        cost: the most that the part does for a sample, in forwards.
        report: called with the number of samples that the part has finished, or whose work it has
            done: searches that go on to the end together finish all at once.
    """

    def __init__(
        self, model: LogitsModel, classes: int, cost: int, report: Callable[[int], None]
    ) -> None:
        self._victim, self._classes = as_victim(model), classes
        self._cost, self._report = cost, report
        self._work = self._done = 0

    @property
    def batch_size(self) -> int | None:
        """That of the model."""
        return self._victim.batch_size

    @batch_size.setter
    def batch_size(self, size: int | None) -> None:
        self._victim.batch_size = size

    @property
    def keeper(self) -> SearchKeeper | None:  # type: ignore[override]
        """Where the part's search is kept."""
        return self._victim.keeper

    @property
    def num_classes(self) -> int:
        """Number of logits per image."""
        return self._classes

    def __call__(self, images: Tensor) -> Tensor:
        """Return exact logits."""
        self._worked(len(images))
        return self._victim(images)

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits with the same argmax as the model's."""
        self._worked(len(images))
        return self._victim.predict(images)

    def for_gradients(self, images: Tensor) -> Tensor:
        """Return logits of the fast copy."""
        self._worked(len(images) * GRADIENT)
        return self._victim.for_gradients(images)

    def for_exact_gradients(self, images: Tensor) -> Tensor:
        """Return logits of the float32 copy."""
        self._worked(len(images) * GRADIENT)
        return self._victim.for_exact_gradients(images)

    def counts(self) -> tuple[object, ...]:
        """Return what the model has counted so far."""
        return self._victim.counts()

    def recount(self, counts: tuple[object, ...]) -> None:
        """Count from these on."""
        self._victim.recount(counts)

    def report(self, finished: int) -> None:
        """Tell the whole attack how many samples the part has finished."""
        if finished > self._done:
            self._done = finished
            self._report(finished)

    def _worked(self, forwards: int) -> None:
        self._work += forwards
        self.report(self._work // self._cost)


def drawn(model: LogitsModel, images: Tensor, labels: Tensor, draws: int) -> tuple[Tensor, Tensor]:
    """Return what a network that draws random numbers makes of images, on average.

    Args:
        model: its ``batch_size`` limits the batches.
        images: (N, C, H, W).
        labels: (N,) true classes.
        draws: how often it is asked about each.

    Returns:
        The mean margin of the true class, (N,), and the share of draws in which another class wins,
        (N,), on the CPU.
    """
    margins, wrong = torch.zeros(2, len(images), dtype=torch.float64)

    def advance(rows: Tensor) -> Tensor:
        index = labels[rows].long().unsqueeze(1)
        for _ in range(draws):
            logits = predict(model, images[rows]).double()
            lead = -margin(logits, index.squeeze(1))
            lead[~logits.isfinite().all(1)] = -torch.inf  # no prediction at all
            margins[rows] += lead.cpu() / draws
            wrong[rows] += (~right(logits, index.squeeze(1))).cpu() / draws
        return torch.ones(len(rows), dtype=torch.bool)

    run_batched(model, torch.arange(len(images)), advance, reports=False)
    return margins, wrong


def fooled_by(model: LogitsModel, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether each float32 prediction is a wrong class, (N,) bool on the CPU.

    Args:
        model: its ``batch_size`` limits the batches.
        images: (N, C, H, W), what a part has found.
        labels: (N,) true classes.
    """
    wrong = torch.zeros(len(images), dtype=torch.bool)

    def advance(rows: Tensor) -> Tensor:
        wrong[rows] = fooled(model, images[rows], labels[rows]).cpu()
        return torch.ones(len(rows), dtype=torch.bool)

    run_batched(model, torch.arange(len(images)), advance, reports=False)
    return wrong
