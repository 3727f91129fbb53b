"""ONI as the released code of the ConvNorm paper has it, faults included, for comparison.

With Z the flattened kernel (out, n), n = in * kh * kw, each row centred, T = 3,

    rows <= n:  S = Z Z^T + 1e-5 I,    W = B_T(S / ||S||_F) Z / sqrt(||S||_F)
    rows  > n:  S = Z^T Z + 1e-5 I,    W = Z B_T(S)           / sqrt(||S||_F)

and a learned scale a row, 1.414 to begin with. The second line lacks the division inside: its
result is not orthogonal, and the iteration diverges once the largest eigenvalue of S exceeds 5. In
ResNet-18 that concerns the first layer and the three 1x1 shortcuts, and may be why the paper had
to lower the learning rate (0.01 for 0.1): ``recipe`` below. Centring leaves no response to a
constant image. T = 3 leaves singular values around 0.6 in wide layers. See ``oni`` for the maths
without these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from robench.base import ConvDefense, Supports
from robench.errors import UserError
from robench.layers.orthogonalize import newton
from robench.layers.reparametrize import reparametrize
from robench.registry import register_defense


class ReleasedOni(nn.Module):
    """Matrix (1, rows, n) -> what the released code makes of it."""

    def __init__(self, rows: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.scale = nn.Parameter(torch.full((1, rows, 1), 1.414))

    def forward(self, matrix: Tensor) -> Tensor:
        """Follow the released code."""
        centred = matrix - matrix.mean(-1, keepdim=True)
        if centred.shape[-2] > centred.shape[-1]:
            return self.scale * newton(centred.mT, self.steps, divide=False).mT
        return self.scale * newton(centred, self.steps)


@register_defense("oni_paper", reference="arXiv:2103.00673 (released code)")
@dataclass(frozen=True)
class OniPaper(ConvDefense):
    """ONI with the faults of the ConvNorm paper's code and its lower learning rate.

    Attributes:
        steps: iterations, "T".
    """

    supports: ClassVar[Supports] = Supports(groups=False)
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType({"lr": 0.01})

    steps: int = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: 1 or more.")

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Parametrize the weight."""
        change = ReleasedOni(conv.out_channels, self.steps).to(conv.weight)
        return reparametrize(conv, change, as_matrix=True)
