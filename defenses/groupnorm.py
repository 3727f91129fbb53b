"""Group normalization (Wu and He 2018).

    y = gamma * (x - mean) / sqrt(var + 1e-5) + beta,

with mean and variance of each sample over groups of channels and all pixels: the same in training
and in evaluation, and no running statistics for an attack to exploit or a shift to spoil.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench.base import Defense, Kind
from robench.errors import UserError
from robench.layers.norms import fitting_groups, group_norm_like
from robench.registry import register_defense


@register_defense("groupnorm", reference="arXiv:1803.08494")
@dataclass(frozen=True)
class GroupNorm(Defense):
    """Norm layers become group norms.

    Attributes:
        groups: of the channels; the most below this where it does not divide them, and two
            channels at least in each.
    """

    kind: ClassVar[Kind] = "norm layer"

    groups: int = 32

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}: 1 or more.")

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Normalize groups of channels of each sample."""
        return group_norm_like(norm, fitting_groups(norm, self.groups))
