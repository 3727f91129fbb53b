"""Layer normalization (Ba, Kiros, Hinton 2016) for ConvNets: group norm with one group.

    y = gamma * (x - mean) / sqrt(var + 1e-5) + beta,

with mean and variance of each sample over all channels and pixels; gamma and beta are per channel.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import Defense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.norms import group_norm_like


@register_defense("layernorm", reference="arXiv:1607.06450")
@dataclass(frozen=True)
class LayerNorm(Defense):
    """Norm layers replaced by ones that normalize each sample as a whole."""

    kind: ClassVar[Kind] = "norm layer"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return a group norm with a single group."""
        return group_norm_like(norm, 1)
