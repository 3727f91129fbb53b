"""Weight standardization with group normalization (Qiao, Wang, Liu, Shen, Yuille 2019).

    w_o <- (w_o - mean(w_o)) / sqrt(var(w_o) + 1e-10)

over the weights of each output channel o, and a group norm in the place of each norm layer: no
statistics of the batch, which adversarial images shift.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from robench.base import Defense, Kind
from robench.errors import UserError
from robench.layers.norms import fitting_groups, group_norm_like
from robench.layers.reparametrize import reparametrize
from robench.registry import register_defense


class Standardize(nn.Module):
    """Kernel (out, in / groups, kh, kw) -> mean 0 and variance 1 a channel."""

    def forward(self, weight: Tensor) -> Tensor:
        """Standardize each output channel."""
        centred = weight - weight.mean((1, 2, 3), keepdim=True)
        return centred * (centred.square().mean((1, 2, 3), keepdim=True) + 1e-10).rsqrt()


@register_defense("weight_standardization", reference="arXiv:1903.10520")
@dataclass(frozen=True)
class WeightStandardization(Defense):
    """Filters of mean 0 and variance 1, followed by group norms.

    Attributes:
        groups: of the group norms, see ``groupnorm``.
    """

    kind: ClassVar[Kind] = "weight parametrization"

    groups: int = 32

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}: 1 or more.")

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse filters of a single weight, which have no variance."""
        if conv.weight[0].numel() == 1:
            return "its filters have one weight each, which standardization makes 0"
        return super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Standardize its filters."""
        return reparametrize(conv, Standardize())

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Normalize groups of channels of each sample."""
        return group_norm_like(norm, fitting_groups(norm, self.groups))
