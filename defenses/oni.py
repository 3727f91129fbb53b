"""Orthogonalization by Newton's iteration (ONI; Huang, Liu, Zhu, Wan, Yuan, Li, Shao 2020).

With Z the flattened kernel (out, in * kh * kw) and rows <= columns (transposed otherwise),

    S = Z Z^T + 1e-5 I,    B_0 = I,    B_{t+1} = 1.5 B_t - 0.5 B_t^3 S / ||S||_F,
    W = B_T Z / sqrt(||S||_F)  ->  (Z Z^T)^(-1/2) Z,

so that the singular values of W approach 1 with T, and each row gets a learned scale. It bounds
the convolution by sqrt(kh kw) times the scale, not by 1.

Differs from the released code (``oni_paper``): there, kernels with more rows than columns are
not divided by ||S||_F within the iteration, which then diverges once weights grow; and rows are
centred first (``center``), which makes the convolution singular at frequency 0. Groups are
orthogonalized apart here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.base import ConvDefense
from robench.errors import UserError
from robench.layers.orthogonalize import newton
from robench.layers.reparametrize import reparametrize
from robench.registry import register_defense


class NewtonOrthogonal(nn.Module):
    """Matrices (groups, rows, columns) -> nearly orthogonal ones times a learned scale a row."""

    def __init__(self, groups: int, rows: int, steps: int, scale: float, center: bool) -> None:
        super().__init__()
        self.steps = steps
        self.center = center
        self.scale = nn.Parameter(torch.full((groups, rows, 1), scale))

    def forward(self, matrix: Tensor) -> Tensor:
        """Orthogonalize the smaller side."""
        if self.center:
            matrix = matrix - matrix.mean(-1, keepdim=True)
        tall = matrix.shape[-2] > matrix.shape[-1]
        result = newton(matrix.mT, self.steps).mT if tall else newton(matrix, self.steps)
        return self.scale * result


@register_defense("oni", reference="arXiv:2004.00917")
@dataclass(frozen=True)
class Oni(ConvDefense):
    """Kernels orthogonalized by Newton's iteration, each filter with a learned scale.

    Attributes:
        steps: iterations, "T"; 5 reach singular values from 0.8 in wide layers, 10 reach 1.
        scale: where the learned scales begin; sqrt(2) is for ReLU networks.
        center: subtract from each filter its mean first, as in the paper.
    """

    steps: int = 5
    scale: float = 2**0.5
    center: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: 1 or more.")

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Orthogonalize its kernel, group by group."""
        rows = conv.out_channels // conv.groups
        change = NewtonOrthogonal(conv.groups, rows, self.steps, self.scale, self.center)
        return reparametrize(conv, change.to(conv.weight), as_matrix=True)
