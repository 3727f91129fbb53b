"""Residual blocks of Lipschitz constant 1: SLL (Araujo et al. 2023) and CPL (Meunier et al. 2022).

    y = x - 2 K^T D^-1 relu(K x + b)

    diagonal (SLL):  D_o = sum_o' sum_l |G[o, o', l]| q_o' / q_o
    norm (CPL):      D = ||K||^2, by Gram iteration instead of the paper's power iteration

with G the overlaps of K's filters and q learned. Such a block replaces each convolution that keeps
size and channels, see ``robench.layers.residual``. Other convolutions are rescaled as in ``aol``,
and norm layers are dropped.

This changes the architecture: the blocks contain their own activation, and the bound for a whole
network holds only if it has no further shortcuts, as in VGG-16, not in a ResNet.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import Defense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.almost_orthogonal import AlmostOrthogonal
from robench.layers.circular import repeats_pixels
from robench.layers.reparametrize import reparametrize
from robench.layers.residual import LipschitzResidual2d, Smoothness, cannot_be_residual


@register_defense("sll", reference="arXiv:2303.03169, arXiv:2110.12690")
@dataclass(frozen=True)
class Sll(Defense):
    """1-Lipschitz residual blocks instead of convolutions; norm layers are dropped.

    Attributes:
        smoothness: the choice of D; ``diagonal`` is SLL, ``norm`` is CPL.
    """

    kind: ClassVar[Kind] = "residual block"
    strict_lipschitz: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    smoothness: Smoothness = "diagonal"

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse padding that repeats pixels."""
        return repeats_pixels(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Wrap the convolution in a residual block, or rescale it if that is impossible."""
        if cannot_be_residual(conv):
            return reparametrize(conv, AlmostOrthogonal(conv.groups))
        return LipschitzResidual2d(conv, self.smoothness)

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Drop the norm layer."""
        return nn.Identity()
