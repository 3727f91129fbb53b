"""Linear approximations of a decision boundary, at points on either side of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.attack_tools.losses import ascent_direction, ascent_directions
from robench.attack_tools.sample_state import choose
from robench.attack_tools.threat_models import Norm, finite, norms
from robench.base import LogitsModel


@dataclass(frozen=True, eq=False)
class Boundary:
    """The boundary between the true class and another one, as seen from a point, for each sample.

    Attributes:
        lead: the logit of the other class minus that of the true one, (B,).
        slope: its gradient, (B, C, H, W).
    """

    lead: Tensor
    slope: Tensor


def boundary_to(model: LogitsModel, x: Tensor, labels: Tensor, targets: Tensor) -> Boundary:
    """Return the boundaries at x, (B, C, H, W), to the classes ``targets``, (B,): one gradient."""
    true, other = (classes.long().unsqueeze(1) for classes in (labels, targets))

    def lead_of(logits: Tensor) -> Tensor:
        return (logits.gather(1, other) - logits.gather(1, true)).squeeze(1)

    # Near the boundary, a lead that is rounded to bf16 would put it elsewhere.
    slope, lead, _ = ascent_direction(model, x, lead_of, exactly=True)
    return Boundary(lead, finite(slope))


def nearest_boundary(model: LogitsModel, x: Tensor, labels: Tensor, norm: Norm) -> Boundary:
    """Return the nearest boundaries at x, (B, C, H, W): a gradient for each class of the model."""
    true = labels.long()
    nearest = torch.full((len(x),), torch.inf, device=x.device)
    found = Boundary(torch.zeros_like(nearest), torch.zeros_like(x))
    leads = ascent_directions(model, x, lambda logits: logits - logits.gather(1, true[:, None]))
    for other, (steep, lead) in enumerate(leads):
        slope = finite(steep)
        away = distance(lead, slope, norm).where(true != other, torch.inf)
        nearer = away < nearest
        nearest = torch.where(nearer, away, nearest)
        found = Boundary(torch.where(nearer, lead, found.lead), choose(nearer, slope, found.slope))
    return found


def distance(lead: Tensor, slope: Tensor, norm: Norm) -> Tensor:
    """Return how far away a boundary is if the box [0, 1] is no obstacle, (B,).

    On a network that is linear in its images this is exact.

    Args:
        lead: (B,), by how much one logit exceeds the other.
        slope: (B, C, H, W), the gradient of that.
        norm: the norm of the distance; that of the gradient is its dual.
    """
    steepness = norms(slope, "l2") if norm == "l2" else slope.flatten(1).abs().sum(1)
    return lead.abs() / steepness.clamp_min(1e-12)
