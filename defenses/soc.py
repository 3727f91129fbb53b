"""Skew orthogonal convolutions (SOC; Singla and Feizi 2021).

    y = sum_{i <= degree} A^i x / i!,    A = (M - M^T) / 2 of bounded norm,

is the exponential of a convolution whose matrix is skew-symmetric, also with zero padding, up to
the rest of its Taylor series. For the degrees that this layer takes, the truncated series is
1-Lipschitz by itself, and preserves norms to one percent. See ``robench.layers.skew``. Unlike the
authors' code, it has the same degree in training and evaluation. Each layer costs as many
convolutions as its degree.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import ConvDefense, UserError, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.circular import repeats_pixels
from robench.layers.skew import REACH, SkewConv2d
from robench.layers.torus_conv import changes_size


@register_defense("soc", reference="arXiv:2105.11417")
@dataclass(frozen=True)
class Soc(ConvDefense):
    """Convolutions that are exponentials of skew-symmetric ones.

    Attributes:
        degree: of the Taylor series: 4, 8 or 12; a larger one rotates further and costs more.
    """

    kind: ClassVar[Kind] = "convolution"
    strict_lipschitz: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    degree: int = 4

    def __post_init__(self) -> None:
        """Check the degree."""
        if self.degree not in REACH:
            valid = ", ".join(map(str, REACH))
            raise UserError(f"degree is {self.degree}: it must be one of {valid}.")

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse convolutions that do not pad by half their kernel, or by repeated pixels."""
        return changes_size(conv) or repeats_pixels(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return an orthogonal convolution of the same geometry."""
        return SkewConv2d.from_conv(conv, degree=self.degree)
