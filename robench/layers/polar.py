"""Orthogonal convolution by the polar factor, frequency by frequency (LOT, arXiv:2210.11620).

    Q(f) = (W W^H)^(-1/2) W,    transposed if W has more outputs than inputs,

by Newton's iteration for the inverse root, written for W itself (Newton-Schulz):

    B <- W / sigma,    T times:  B <- (3 B - B B^H B) / 2,    sigma = || (W W^H)^2 ||_F^(1/4).

Since sigma is at least the norm of W, singular values start in [0, 1], on which s (3 - s^2) / 2
never exceeds 1: **no number of steps makes the norm larger than 1**. A small singular value grows
by 3/2 a step: ten steps bring those from 0.05 sigma on to 0.999 and above. Where W is conditioned
worse, the layer contracts and is not orthogonal. What is certified is the norm of the matrices
that come out, bounded from above, whatever the iteration made of them.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn

from robench.kernels.orthogonal_matrices import newton_schulz
from robench.layers.adopt import adopt
from robench.layers.circular import Size, dilation_of, kernel_symbol
from robench.layers.nonzero import nonzero
from robench.layers.torus_conv import TorusConv2d


def polar(matrices: Tensor, steps: int) -> Tensor:
    """Return the polar factors of matrices (..., out, in), the smaller side orthonormal.

    Matrices of almost no norm, compared with 1, are not scaled up.
    """
    if matrices.shape[-2] > matrices.shape[-1]:
        return polar(matrices.mH, steps).mH
    matrices = matrices.contiguous()  # those of ``symbol`` lie across the frequencies, slow to read
    square = matrices @ matrices.mH
    power = torch.linalg.matrix_norm(square @ square, keepdim=True)
    return newton_schulz(matrices * nonzero(power, power=4).pow(-0.25), steps)


class PolarConv2d(TorusConv2d):
    """An orthogonal convolution; takes the arguments of ``nn.Conv2d`` and ``steps``.

    Where the iteration converges it preserves norms, if it has at least as many outputs as inputs
    times stride squared; with fewer outputs, its transpose does. For a strided 1x1 kernel this
    holds for the pixels that it sees.

    Args:
        steps: T.
    """

    def __init__(self, *args: Any, steps: int = 10, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps = steps

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, steps: int = 10) -> Self:
        """Return a layer with the geometry and the parameters of ``conv``."""
        return adopt(cls, conv, steps=steps)

    def make_matrices(self, torus: Size, stride: Size) -> Tensor:
        """Return the polar factors of the kernel's matrices."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        weight = weight / nonzero(torch.linalg.vector_norm(weight))
        matrices = kernel_symbol(weight, torus, stride, self.groups, dilation_of(self))
        return polar(matrices, self.steps)
