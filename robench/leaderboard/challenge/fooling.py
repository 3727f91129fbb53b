"""Which adversarial images keep to a ball around the clean ones, and which fool a network."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.base import ThreatModel
from robench.evaluation.agreement import LOGITS
from robench.evaluation.forward import PLAIN
from robench.evaluation.validation import TOLERANCE, sizes
from robench.expressions import radius_text
from robench.leaderboard.challenge.files import Indices
from robench.models.frozen import frozen_stats, under_attack

TRIES = 3
"""Predictions per image: a network that draws random numbers must be fooled in each of them."""


@dataclass(frozen=True, eq=False)
class Fooled:
    """Which images fool a network.

    Attributes:
        surely: in every prediction, by more than rounding could change on another device.
        ever: in at least one prediction, by however little.
    """

    surely: NDArray[np.bool_]
    ever: NDArray[np.bool_]


def outside(images: Tensor, clean: Tensor, indices: Indices, ball: ThreatModel) -> str | None:
    """Return which image leaves a ball, as the part of a sentence; None if all keep to it.

    The radius may be exceeded by as much as the evaluator allows its own attacks.

    Args:
        images: (N, C, H, W) float32 in [0, 1].
        clean: the clean images, of the same shape.
        indices: what the images are called.
        ball: an Linf or L2 ball.
    """
    linf, l2 = sizes(clean, images)
    moved = {"linf": linf, "l2": l2}[ball.norm]
    far = ~(moved <= ball.eps + TOLERANCE * max(1, ball.eps))
    if not far.any():
        return None
    first = int(far.nonzero()[0])
    others = int(far.sum()) - 1
    more = f", and {others} more leave it as well" if others else ""
    return (
        f"the image with the index {indices[first]} is moved by {moved[first].item():.6g}, beyond "
        f"the radius {radius_text(ball.eps)} of its {ball.norm} ball{more}"
    )


def fools(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int,
    device: torch.device,
) -> Fooled:
    """Predict images with a network, and return which of them fool it.

    Args:
        model: images in [0, 1] -> logits; it comes back as it was.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,), the true classes.
        batch_size: how many images to pass at a time.
        device: where to compute.

    Raises:
        UserError: if the model does not return logits.
    """
    model.to(device)
    with frozen_stats(model), under_attack(model), torch.no_grad():
        leads = torch.stack(
            [
                torch.cat(
                    [
                        _lead(PLAIN(model, x.to(device)), y.to(device)).cpu()
                        for x, y in zip(
                            images.split(batch_size), labels.split(batch_size), strict=True
                        )
                    ]
                )
                for _ in range(TRIES)
            ]
        )
    surely = (leads > LOGITS["float32"]).all(0)
    return Fooled(surely.numpy(), (leads > 0).any(0).numpy())


def _lead(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much the best wrong class leads the true one, relative to the logits' spread.

    Logits that are not finite lead by nothing.
    """
    true = logits.gather(1, labels[:, None])
    wrong = logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)
    spread = (logits - logits.mean(1, keepdim=True)).norm(dim=1, keepdim=True)
    lead = (wrong - true) / spread.clamp_min(torch.finfo(torch.float32).tiny)
    return lead.squeeze(1).nan_to_num(0.0, posinf=0.0, neginf=0.0)
