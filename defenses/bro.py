"""Orthogonal convolutions by block reflectors (BRO; Lai et al. 2025).

At each frequency of the torus that the input forms, the kernel of n filters is a matrix V(f), and

    Q(f) = I - 2 V (V^H V + e I)^-1 V^H

is orthogonal: it reflects the n dimensions that V spans. Fewer rows or columns of it make layers
that change the number of channels. e is ten units of the precision, so that a vanishing V makes the
identity. See ``robench.layers.block_reflector``. It pads circularly, like ``cayley``, and inverts
smaller matrices than that. n is a share of the larger number of channels.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import ConvDefense, UserError, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.block_reflector import BlockReflectorConv2d
from robench.layers.torus_conv import no_torus


@register_defense("bro", reference="arXiv:2505.15174")
@dataclass(frozen=True)
class Bro(ConvDefense):
    """Convolutions that reflect at every frequency, on a torus.

    Attributes:
        rank: share of the channels whose dimensions are reflected, above 0 and below 1.
    """

    kind: ClassVar[Kind] = "convolution"
    strict_lipschitz: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    rank: float = 0.25

    def __post_init__(self) -> None:
        """Check the rank."""
        if not 0 < self.rank < 1:
            raise UserError(f"rank is {self.rank:g}: it must be above 0 and below 1.")

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse convolutions that do not pad by half their kernel, and single channels."""
        if conv.out_channels == conv.in_channels == conv.groups and max(conv.stride) == 1:
            return "its groups have one channel each, whose reflection has nothing to learn"
        return no_torus(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return an orthogonal convolution of the same geometry."""
        return BlockReflectorConv2d.from_conv(conv, rank=self.rank)
