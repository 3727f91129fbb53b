"""Orthogonal convolutions by the Cayley transform (Trockman and Kolter 2021).

At each frequency of the torus that the input forms, the kernel's matrix W(f) = [U; V] becomes

    Q(f) = [ (I - A) (I + A)^-1 ;  -2 V (I + A)^-1 ],    A = U - U^H + V^H V,

whose columns are orthonormal: the layer has Lipschitz constant 1, and preserves norms if it does
not reduce the dimension. See ``robench.layers.cayley``. It pads circularly, and each layer costs
one matrix inversion per frequency. The paper pairs it with GroupSort, Adam and no weight decay;
here it is used with the board's network and recipe.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.cayley import CayleyConv2d
from robench.layers.torus_conv import no_torus


@register_defense("cayley", reference="arXiv:2104.07167")
@dataclass(frozen=True)
class Cayley(ConvDefense):
    """Convolutions that are orthogonal at every frequency, on a torus."""

    kind: ClassVar[Kind] = "convolution"
    strict_lipschitz: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse convolutions that do not pad by half their kernel."""
        return no_torus(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return an orthogonal convolution of the same geometry."""
        return CayleyConv2d.from_conv(conv)
