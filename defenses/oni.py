"""Orthogonalization by Newton's iteration (ONI; Huang, Liu, Zhu, Wan, Yuan, Li, Shao 2020).

With Z the flattened kernel (out, in * kh * kw) and rows <= columns (transposed otherwise),

    S = Z Z^T + 1e-5 I,    B_0 = I,    B_{t+1} = 1.5 B_t - 0.5 B_t^3 S / ||S||_F,
    W = B_T Z / sqrt(||S||_F)  ->  (Z Z^T)^(-1/2) Z,

so that the singular values of W approach 1 as T grows, and each row gets a learned scale. It bounds
the norm of the convolution by sqrt(kh kw) times the scale, not by 1.

Differs from the released code (``oni_paper``): there, kernels with more rows than columns are
not divided by ||S||_F within the iteration, which then diverges once weights grow; and rows are
centered first (``center``), which makes the convolution singular at frequency 0. Here, each group
is orthogonalized separately.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robench import ConvDefense, UserError, register_defense
from robench.base import DIFFERENTIABLE
from robench.layers.orthogonalize import newton
from robench.layers.reparametrize import reparametrize


class NewtonOrthogonal(nn.Module):
    """Map from matrices (groups, rows, columns) to nearly orthogonal ones with learned scales."""

    def __init__(self, groups: int, rows: int, steps: int, scale: float, center: bool) -> None:
        super().__init__()
        self.steps = steps
        self.center = center
        self.scale = nn.Parameter(torch.full((groups, rows, 1), scale))

    def forward(self, matrix: Tensor) -> Tensor:
        """Orthogonalize the rows or the columns, whichever are fewer."""
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
        steps: number of iterations, "T"; 5 bring singular values to at least 0.8 in wide layers,
            10 to 1.
        scale: initial value of the learned scales; sqrt(2) suits ReLU networks.
        center: subtract the mean of each filter first, as in the paper.

    Raises:
        UserError: if steps is below 1, or scale is not above 0.
    """

    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    steps: int = 5
    scale: float = 2**0.5
    center: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: it must be 1 or more.")
        if not 0 < self.scale < math.inf:
            raise UserError(f"scale is {self.scale:g}: it must be above 0.")

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Orthogonalize the kernel, group by group."""
        rows = conv.out_channels // conv.groups
        change = NewtonOrthogonal(conv.groups, rows, self.steps, self.scale, self.center)
        return reparametrize(conv, change.to(conv.weight), as_matrix=True)
