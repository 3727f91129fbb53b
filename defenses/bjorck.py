"""Björck orthonormalization of reshaped kernels (Björck and Bowie 1971; Anil, Lucas, Grosse 2019).

    W <- W / sqrt(||W||_1 ||W||_inf),    then    W <- 1.5 W - 0.5 W W^T W,    steps times,

W = reshape(w, out, in * kh * kw): the nearest matrix with orthonormal rows or columns in the
limit, and of norm at most 1 after any number of steps. This bounds the norm of the convolution by
sqrt(kh * kw) at stride 1, not by 1.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from robench import ConvDefense, UserError, register_defense
from robench.base import DIFFERENTIABLE
from robench.layers.orthogonalize import bjorck
from robench.layers.reparametrize import reparametrize


class BjorckOrthogonal(nn.Module):
    """Map from matrices (groups, rows, columns) to nearly orthogonal ones."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, matrix: Tensor) -> Tensor:
        """Run Björck's iteration."""
        return bjorck(matrix, self.steps)


@register_defense("bjorck", reference="arXiv:1811.05381")
@dataclass(frozen=True)
class Bjorck(ConvDefense):
    """Kernels orthogonalized by Björck's iteration.

    Attributes:
        steps: number of iterations.
    """

    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    steps: int = 15

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}: it must be 1 or more.")

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Orthogonalize the kernel, group by group."""
        return reparametrize(conv, BjorckOrthogonal(self.steps), as_matrix=True)
