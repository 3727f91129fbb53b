"""Whether a copy of a model computes the model's logits and input gradients on real samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from robench.attack_tools.losses import gradient_of

Precision = Literal["bf16", "float32"]

LOGITS = {"bf16": 0.1, "float32": 1e-4}
"""Largest distance of a copy's logits from the model's, relative to their spread."""

MEDIAN_COSINE = {"bf16": 0.8, "float32": 0.999}
LEAST_COSINE = {"bf16": 0.4, "float32": 0.95}
"""Least cosine between a copy's input gradient and the model's, of the median sample and of every
sample. Where a ReLU or a max-pool is at a tie, rounding decides between two gradients. Over the
defenses of the registry on ResNet-18 the medians are at least 0.90 in bf16 and 1 - 1e-11 in
float32, the least ones 0.67 and 0.9998; in an untrained Inception-v3 0.999 in float32."""

LENGTH = {"bf16": 2.0, "float32": 1.01}
"""Largest ratio between the lengths of the two gradients of the median sample."""

SHORTEST = {"bf16": 1e-30, "float32": 0.0}
"""Least length of the model's gradient, of the median sample. bf16 has the range of float32, but
CPUs round the smallest numbers to zero in it: with gradients of 1e-36, single pixels get none and
FGSM fools 3 of 100 images fewer, although the other pixels hide it from the cosines."""

STEPS = (0.0173, 0.0591)
"""Lengths (Linf) of the steps that lead from the samples to the further points. They are no
multiples of 1/255: a model may treat images off the grid of 8 bits in another way."""

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Reference:
    """What a model itself computes at real samples and at points that an attack reaches from them.

    Attributes:
        points: images (P, C, H, W); the first are the samples, the last the farthest points.
        weights: weights (P, classes) of the logits whose sum is differentiated.
        logits: the logits (P, classes).
        gradients: the gradients (P, C, H, W).
        batch_size: how many images to pass at a time.
    """

    points: Tensor
    weights: Tensor
    logits: Tensor
    gradients: Tensor
    batch_size: int

    @property
    def last(self) -> Tensor:
        """The farthest points."""
        return self.points[-(len(self.points) // (len(STEPS) + 1)) :][: self.batch_size]

    def of(self, rows: list[int]) -> "Reference":
        """Return the part for some of the points."""
        parts = (self.points[rows], self.weights[rows], self.logits[rows], self.gradients[rows])
        return Reference(*parts, self.batch_size)

    def difference(self, model: Model, precision: Precision) -> str | None:
        """Return what differs in a copy, "logits" or "input gradients", or None."""
        logits, gradients = gradients_of(model, self.points, self.weights, self.batch_size)
        if not near(logits, self.logits, precision):
            return "logits"
        return None if _parallel(gradients, self.gradients, precision) else "input gradients"


def reference(model: Model, samples: Tensor, num_classes: int, batch_size: int) -> Reference:
    """Compute what copies must agree with.

    The further points are reached by steps along the sign of the gradient of the second-best
    logit minus the best one, as those of an attack are.

    Args:
        model: images -> logits, differentiable.
        samples: (B, C, H, W) in [0, 1].
        num_classes: number of logits per image.
        batch_size: how many images to pass at a time.
    """
    points = [samples]
    for step in STEPS:
        x = points[-1]
        upwards = torch.cat([_upwards(model, batch) for batch in x.split(batch_size)])
        points.append((x + step * upwards.sign()).clamp(0, 1))
    images = torch.cat(points)
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(len(images), num_classes, generator=rng).to(images.device)
    logits, gradients = gradients_of(model, images, weights, batch_size)
    return Reference(images, weights, logits, gradients, batch_size)


def gradients_of(
    model: Model, images: Tensor, weights: Tensor, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Return a model's logits and the gradients of their weighted sums with respect to images.

    Args:
        model: images -> logits.
        images: (B, C, H, W) in [0, 1].
        weights: (B, classes).
        batch_size: how many images to pass at a time.
    """
    pairs = zip(images.split(batch_size), weights.split(batch_size), strict=True)
    found = [_gradient(model, x, w.mul) for x, w in pairs]
    logits, gradients = zip(*found, strict=True)
    return torch.cat(logits), torch.cat(gradients)


def _gradient(
    model: Model, images: Tensor, objective: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return logits, and the gradient of the sum of their objective; zeros if there is none."""
    with torch.enable_grad():
        inputs = images.detach().clone().requires_grad_()
        logits = model(inputs).float()
        if not logits.requires_grad:
            return logits, torch.zeros_like(images)
        return logits.detach(), gradient_of(objective(logits).sum(), inputs)


def _upwards(model: Model, images: Tensor) -> Tensor:
    return _gradient(model, images, _second_minus_best)[1]


def _second_minus_best(logits: Tensor) -> Tensor:
    best = logits.topk(min(2, logits.shape[1]), dim=1).values
    return best[:, -1] - best[:, 0]


def near(found: Tensor, wanted: Tensor, precision: Precision) -> bool:
    """Return whether logits (B, classes) are those wanted, up to the rounding of a precision."""
    if found.shape != wanted.shape or not found.isfinite().all():
        return False
    spread = (wanted - wanted.mean(1, keepdim=True)).norm()
    return bool((found - wanted).norm() <= LOGITS[precision] * spread)


def _parallel(found: Tensor, wanted: Tensor, precision: Precision) -> bool:
    """Return whether gradients (B, C, H, W) have the same directions and lengths."""
    mine, theirs = (_unit(gradient) for gradient in (found, wanted))
    if not found.isfinite().all() or not torch.equal(mine[1] == 0, theirs[1] == 0):
        return False
    alive = theirs[1] > 0
    if not alive.any():
        return True
    cosines = (mine[0] * theirs[0]).sum(1)[alive]
    length = theirs[1][alive].median()
    ratio = mine[1][alive].median() / length
    return bool(
        length >= SHORTEST[precision]
        and cosines.median() >= MEDIAN_COSINE[precision]
        and cosines.min() >= LEAST_COSINE[precision]
        and 1 / LENGTH[precision] <= ratio <= LENGTH[precision]
    )


def _unit(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the directions (B, pixels) and lengths (B,), in float64: no length underflows."""
    flat = gradient.flatten(1).double()
    length = flat.norm(dim=1)
    return flat / length.clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(1), length
