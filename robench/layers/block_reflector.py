"""Orthogonal convolution by block reflectors, frequency by frequency (arXiv:2505.15174).

For V(f) with m rows and n < m columns,

    Q(f) = I - 2 V (V^H V + e I)^-1 V^H

reflects the space that V spans and leaves the rest; m is the larger of outputs and inputs, of which
Q keeps as many rows, or columns, as there are. V, or V^H where there are more inputs, is the symbol
of a kernel of n filters, scaled to ||w||^2 = n, so that V^H V is the identity on average.

e is ten units of the precision. An eigenvalue s^2 of V^H V makes one of Q, 1 - 2 s^2 / (s^2 + e),
which is -1 up to rounding; as V vanishes it becomes 1, so that nothing is divided by zero and no
norm ever exceeds 1.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn

from robench.layers.adopt import adopt
from robench.layers.circular import Size, dilation_of, kernel_symbol
from robench.layers.initial_kernel import initial_kernel
from robench.layers.nonzero import nonzero
from robench.layers.torus_conv import TorusConv2d


def block_reflector(v: Tensor, rows: int, columns: int) -> Tensor:
    """Return the first rows and columns of Q, (..., m, n) -> (..., rows, columns)."""
    v = v.contiguous()  # those of ``symbol`` lie across the frequencies, slow to read
    gram = v.mH @ v
    ridge = 10 * torch.finfo(v.dtype).eps * torch.eye(v.shape[-1], dtype=v.dtype, device=v.device)
    # Never singular; torch's own check would make the host wait for a GPU.
    solved = torch.linalg.solve_ex(gram + ridge, v[..., :columns, :].mH).result
    eye = torch.eye(rows, columns, dtype=v.dtype, device=v.device)
    return eye - 2 * v[..., :rows, :] @ solved


class BlockReflectorConv2d(TorusConv2d):
    """An orthogonal convolution; takes the arguments of ``nn.Conv2d`` and ``rank``.

    It preserves norms if it has at least as many outputs as inputs times stride squared; with fewer
    outputs, its transpose does. For a strided 1x1 kernel this holds for the pixels that it sees.

    Args:
        rank: n / m, above 0 and below 1.
    """

    def __init__(self, *args: Any, rank: float = 0.25, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rank = rank
        self.weight = self._initial(self)

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, rank: float = 0.25) -> Self:
        """Return a layer with the geometry of ``conv``, and its first filters if they fit."""
        layer = adopt(cls, conv, rank=rank)
        layer.weight = layer._initial(conv)
        return layer

    def make_matrices(self, torus: Size, stride: Size) -> Tensor:
        """Return the block reflectors of the kernel's matrices."""
        rows, columns = self._sides(stride)
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        norm, n = nonzero(torch.linalg.vector_norm(weight)), self._columns_of_v()
        weight = weight * ((self.groups * n) ** 0.5 / norm)
        if rows <= columns:
            v = kernel_symbol(weight, torus, stride, self.groups, dilation_of(self)).mH
            return block_reflector(v, rows, columns)
        coarse = (torus[0] // stride[0], torus[1] // stride[1])
        v = kernel_symbol(weight, coarse, (1, 1), self.groups, dilation_of(self))
        return block_reflector(v, rows, columns)

    def _initial(self, conv: nn.Conv2d) -> nn.Parameter:
        (rows, columns), n = self._sides(self._unfolded()), self._columns_of_v()
        inputs = self.in_channels // self.groups
        return initial_kernel(conv, *((n, inputs) if rows <= columns else (rows, n)))

    def _columns_of_v(self) -> int:
        larger = max(self._sides(self._unfolded()))
        return min(max(1, round(self.rank * larger)), larger - 1) if larger > 1 else 1

    def _sides(self, stride: Size) -> tuple[int, int]:
        inputs = self.in_channels // self.groups * stride[0] * stride[1]
        return self.out_channels // self.groups, inputs

    def _unfolded(self) -> Size:
        """Return the stride that is unfolded into channels; a 1x1 kernel leaves pixels out."""
        return (1, 1) if self.kernel_size == (1, 1) else (self.stride[0], self.stride[1])
