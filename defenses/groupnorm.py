"""Group normalization (Wu and He 2018).

    y = gamma * (x - mean) / sqrt(var + 1e-5) + beta,

with mean and variance of each sample over groups of channels and all pixels. It behaves the same
in training and evaluation, and has no running statistics that an attack could exploit or a
distribution shift could invalidate.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import Defense, UserError, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.norms import fitting_groups, group_norm_like


@register_defense("groupnorm", reference="arXiv:1803.08494")
@dataclass(frozen=True)
class GroupNorm(Defense):
    """Norm layers replaced by group norms.

    Attributes:
        groups: number of groups of channels. If it does not divide the channels, or a group would
            have fewer than two, the largest smaller number that fits is used.
    """

    kind: ClassVar[Kind] = "norm layer"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    groups: int = 32

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}: it must be 1 or more.")

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return a group norm for the same channels."""
        return group_norm_like(norm, fitting_groups(norm, self.groups))
