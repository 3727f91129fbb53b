"""Instance normalization (Ulyanov, Vedaldi, Lempitsky 2016).

    y = gamma * (x - mean) / sqrt(var + 1e-5) + beta,

with mean and variance of each sample and channel over its pixels. A map of one pixel is erased (it
equals its own mean), so a network whose last stage has shrunk to 1x1 learns nothing.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import Defense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.norms import channels_of, group_norm_like


@register_defense("instancenorm", reference="arXiv:1607.08022")
@dataclass(frozen=True)
class InstanceNorm(Defense):
    """Norm layers replaced by ones that normalize each channel of each sample."""

    kind: ClassVar[Kind] = "norm layer"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return a group norm with one channel per group.

        torch's own instance norm refuses maps of one pixel.
        """
        return group_norm_like(norm, channels_of(norm))
