"""How logits change close to an image: what gradients promise, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from robench.attack_tools.losses import Loss, ascent_direction, input_gradient
from robench.attack_tools.randomness import generators, uniform
from robench.attack_tools.threat_models import steepest
from robench.checks.context import CheckContext
from robench.errors import UserError

ROUNDED = 1e-4
"""Change of the logits, relative to the largest of them, that rounding in float32 may explain."""


TINY = 1e-6
"""A change of pixels that no image file and no eye resolves, but float32 does."""


@dataclass(frozen=True, eq=False)
class Probe:
    """The images that a network is right on, or the first of them, with the nearest other class.

    The lead of that class over the true one, ``logits[rival] - logits[label]``, is what is followed
    around each image.

    Attributes:
        context: the network.
        rows: (m,) their indices.
        images: (m, C, H, W).
        labels: (m,) the true classes.
        rivals: (m,) the best other classes.
        values: (m,) the leads at the images.
        scale: (m,) the largest logits, in absolute value.
    """

    context: CheckContext
    rows: Tensor
    images: Tensor
    labels: Tensor
    rivals: Tensor
    values: Tensor
    scale: Tensor

    @classmethod
    def of(cls, context: CheckContext, count: int) -> "Probe":
        """Choose the first ``count`` images that the network is right on."""
        rows = context.correct.nonzero().squeeze(1)[:count]
        images, labels = context.images[rows], context.labels[rows]
        logits = context.logits(images) if len(rows) else torch.zeros(0, 2)
        others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
        rivals = others.argmax(1)
        values = _lead(logits, labels, rivals)
        return cls(context, rows, images, labels, rivals, values, logits.abs().amax(1))

    def __len__(self) -> int:
        return len(self.rows)

    def leads(self, points: Tensor) -> Tensor:
        """Return the leads at points around the images, (k, m, C, H, W) -> (k, m) float64."""
        logits = self.context.logits(points.flatten(0, 1))
        labels, rivals = (v.repeat(len(points)) for v in (self.labels, self.rivals))
        return _lead(logits, labels, rivals).view(len(points), len(self))

    def gradients(self, points: Tensor) -> Tensor:
        """Return the gradients of the leads, (m, C, H, W) -> (m, C, H, W).

        Raises:
            UserError: if the logits are cut off from the images.
        """
        found = []
        with self.context.opened():
            for x, y, r in self.context.batches(points, self.labels, self.rivals):
                lead = partial(_lead, labels=y, rivals=r)
                found.append(ascent_direction(self.context.model, x, lead)[0].cpu())
        return torch.cat(found)

    def directions(self, count: int) -> Tensor:
        """Return random directions of unit norm, (count, m, C, H, W): all pixels change alike."""
        rngs = generators(self.context.options.seed + 2, self.rows.tolist())
        shape = (count, *self.images.shape[1:])
        signs = uniform(rngs, shape).sub(0.5).sign().transpose(0, 1)
        return torch.stack([steepest(s, self.context.norm) for s in signs])


def is_rough(
    probe: Probe,
    directions: int = 6,
    parts: Sequence[float] = (1 / 64, 1 / 16),
    large: float = 1 / 4,
    most: float = 0.6,
) -> Tensor:
    """Return at which images a small perturbation changes the logits too much, (m,) bool.

    Where the gradient is zero, as between the steps of a quantization, only the smallest counts.

    Args:
        probe: the images.
        directions: number of random directions per image, the same at every size.
        parts: sizes of small perturbations in units of the radius, beside one of 1e-6 per pixel.
        large: size of the large perturbation in units of the radius.
        most: how much of the change by the large perturbation a small one may make.
    """
    found, eps = probe.directions(directions), probe.context.eps
    whole = _change(probe, found * (large * eps))
    small = [
        _change(probe, move) for move in (found.sign() * TINY, *(found * (p * eps) for p in parts))
    ]
    rough = torch.stack([(d > most * whole) & (d > ROUNDED * probe.scale) for d in small])
    return rough[0] | (rough[1:].any(0) & ~_flat(probe))


def margin_gradients(context: CheckContext) -> tuple[Tensor, Tensor]:
    """Return gradients and logits at the correct images; zeros if the gradient is cut off."""
    return gradients_of(context, "margin")


def gradients_of(context: CheckContext, loss: Loss) -> tuple[Tensor, Tensor]:
    """Return gradients of a loss and logits at the correct images; zeros if they are cut off."""
    right = context.correct
    images, labels = context.images[right], context.labels[right]
    found = []
    with context.opened():
        for x, y in context.batches(images, labels):
            try:
                found.append(input_gradient(context.model, x, y, loss))
            except UserError:
                return torch.zeros_like(images), context.logits(images)
    return torch.cat([g.cpu() for g, _ in found]), torch.cat([z.cpu() for _, z in found])


def _flat(probe: Probe) -> Tensor:
    """Return where the gradient is zero or missing, (m,) bool."""
    try:
        return (probe.gradients(probe.images) == 0).flatten(1).all(1)
    except UserError:
        return torch.ones(len(probe), dtype=torch.bool)


def _change(probe: Probe, moves: Tensor) -> Tensor:
    """Return the root mean square of the change of the lead, (m,)."""
    moved = probe.leads((probe.images + moves).clamp(0, 1)) - probe.values
    return moved.square().mean(0).sqrt()


def _lead(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    true, rival = (logits.gather(1, index.unsqueeze(1)).squeeze(1) for index in (labels, rivals))
    return rival.double() - true.double()
