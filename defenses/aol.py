"""Almost-orthogonal layers (AOL; Prach and Lampert 2022).

    w[:, i] <- w[:, i] / sqrt( sum_j sum_l | sum_o sum_t w[o, i, t] w[o, j, t + l] | )

which bounds the norm of the convolution by 1 for any input size. See
``robench.layers.almost_orthogonal``.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE
from robench.layers.almost_orthogonal import AlmostOrthogonal
from robench.layers.circular import repeats_pixels
from robench.layers.reparametrize import reparametrize


@register_defense("aol", reference="arXiv:2208.03160")
@dataclass(frozen=True)
class Aol(ConvDefense):
    """Kernels rescaled by the overlaps of their input channels, to norm 1."""

    strict_lipschitz: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse padding that repeats pixels."""
        return repeats_pixels(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Rescale the kernel."""
        return reparametrize(conv, AlmostOrthogonal(conv.groups))
