"""Orthogonal convolutions by the polar factor (LOT; Xu et al. 2022).

At each frequency of the torus that the input forms, the kernel's matrix W(f) becomes

    Q(f) = (W W^H)^(-1/2) W

by a fixed number of Newton's steps. No number of steps makes its norm larger than 1; where they are
too few for an ill-conditioned W, the layer contracts instead of preserving norms. See
``robench.layers.polar``. It pads circularly, like ``cayley``. In the paper, kernels start as the
identity; here they start as the network's own, which the backbone ``lipschitz_convnet`` makes
orthogonal.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import ConvDefense, UserError, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.polar import PolarConv2d
from robench.layers.torus_conv import no_torus


@register_defense("lot", reference="arXiv:2210.11620")
@dataclass(frozen=True)
class Lot(ConvDefense):
    """Convolutions that are replaced by the nearest orthogonal ones, on a torus.

    Attributes:
        steps: Newton's steps.
    """

    kind: ClassVar[Kind] = "convolution"
    strict_lipschitz: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    steps: int = 10

    def __post_init__(self) -> None:
        """Check the number of steps."""
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: it must be 1 or more.")

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse convolutions that do not pad by half their kernel."""
        return no_torus(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return an orthogonal convolution of the same geometry."""
        return PolarConv2d.from_conv(conv, steps=self.steps)
