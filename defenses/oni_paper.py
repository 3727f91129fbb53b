"""ONI as in the released code of the ConvNorm paper, bugs included, for comparison.

With Z the flattened kernel (out, n), n = in * kh * kw, each row centered, T = 3,

    rows <= n:  S = Z Z^T + 1e-5 I,    W = B_T(S / ||S||_F) Z / sqrt(||S||_F)
    rows  > n:  S = Z^T Z + 1e-5 I,    W = Z B_T(S)           / sqrt(||S||_F)

and a learned scale per row, initially 1.414. The second line lacks the inner division: its
result is not orthogonal, and the iteration diverges once the largest eigenvalue of S exceeds 5. In
ResNet-18 this affects the first layer and the three 1x1 shortcuts, and may be why the paper had
to lower the learning rate (0.01 instead of 0.1): see ``recipe`` below. Centering removes the
response to a constant image. T = 3 leaves singular values around 0.6 in wide layers. See ``oni``
for the version without these bugs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from robench import ConvDefense, Supports, UserError, register_defense
from robench.base import DIFFERENTIABLE
from robench.layers.orthogonalize import newton
from robench.layers.reparametrize import reparametrize


class ReleasedOni(nn.Module):
    """Map of matrices (1, rows, n) as computed by the released code."""

    def __init__(self, rows: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.scale = nn.Parameter(torch.full((1, rows, 1), 1.414))

    def forward(self, matrix: Tensor) -> Tensor:
        """Compute the weight as the released code does."""
        centered = matrix - matrix.mean(-1, keepdim=True)
        if centered.shape[-2] > centered.shape[-1]:
            return self.scale * newton(centered.mT, self.steps, divide=False).mT
        return self.scale * newton(centered, self.steps)


@register_defense("oni_paper", reference="arXiv:2103.00673 (released code)")
@dataclass(frozen=True)
class OniPaper(ConvDefense):
    """ONI with the bugs of the ConvNorm paper's code and its lower learning rate.

    Attributes:
        steps: number of iterations, "T".
    """

    supports: ClassVar[Supports] = Supports(groups=False)
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType({"lr": 0.01})
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    steps: int = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: it must be 1 or more.")

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Parametrize the weight as the released code does."""
        change = ReleasedOni(conv.out_channels, self.steps).to(conv.weight)
        return reparametrize(conv, change, as_matrix=True)
