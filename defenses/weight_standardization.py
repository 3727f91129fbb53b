"""Weight standardization with group normalization (Qiao, Wang, Liu, Shen, Yuille 2019).

    w_o <- (w_o - mean(w_o)) / sqrt(var(w_o) + 1e-10)

over the weights of each output channel o, with a group norm in place of each norm layer: there are
no batch statistics for adversarial images to shift.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from robench import Defense, UserError, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.norms import fitting_groups, group_norm_like
from robench.layers.reparametrize import reparametrize


class Standardize(nn.Module):
    """Map from kernels (out, in / groups, kh, kw) to ones of mean 0 and variance 1 per channel."""

    def forward(self, weight: Tensor) -> Tensor:
        """Standardize each output channel."""
        centered = weight - weight.mean((1, 2, 3), keepdim=True)
        return centered * (centered.square().mean((1, 2, 3), keepdim=True) + 1e-10).rsqrt()


@register_defense("weight_standardization", reference="arXiv:1903.10520")
@dataclass(frozen=True)
class WeightStandardization(Defense):
    """Filters of mean 0 and variance 1, followed by group norms.

    Attributes:
        groups: number of groups of the group norms, see ``groupnorm``.
    """

    kind: ClassVar[Kind] = "weight parametrization"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    groups: int = 32

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise UserError(f"groups is {self.groups}: it must be 1 or more.")

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse filters of a single weight, which have no variance."""
        if conv.weight[0].numel() == 1:
            return "its filters have one weight each, which standardization would make 0"
        return super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Standardize the filters."""
        return reparametrize(conv, Standardize())

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return a group norm for the same channels."""
        return group_norm_like(norm, fitting_groups(norm, self.groups))
