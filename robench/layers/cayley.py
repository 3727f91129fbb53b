"""Orthogonal convolution by the Cayley transform, frequency by frequency (Trockman, Kolter 2021).

For the matrix W(f) of the circular convolution at frequency f, transposed if it is wide, with U its
first square block and V the rest,

    A = U - U^H + V^H V,    Q(f) = [ (I - A) (I + A)^-1 ;  -2 V (I + A)^-1 ],

has orthonormal columns, since I + A is never singular. W is the symbol of the kernel, scaled to a
learned norm: g w / ||w||. The layer pads circularly, regardless of the convolution that it
replaces, see ``robench.layers.torus_conv``. arXiv:2104.07167.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn

from robench.kernels.orthogonal_matrices import cayley_transform
from robench.layers.adopt import adopt
from robench.layers.circular import Size, dilation_of, kernel_symbol
from robench.layers.nonzero import nonzero
from robench.layers.torus_conv import TorusConv2d


def cayley(matrices: Tensor) -> Tensor:
    """Return the Cayley transform of matrices (..., out, in); the smaller side is orthonormal."""
    rows, columns = matrices.shape[-2:]
    if rows < columns:
        return cayley(matrices.mH).mH
    return cayley_transform(matrices)


class CayleyConv2d(TorusConv2d):
    """An orthogonal convolution; takes the arguments of ``nn.Conv2d``.

    It preserves norms if it has at least as many outputs as inputs times stride squared; with fewer
    outputs, its transpose does. For a strided 1x1 kernel this holds for the pixels that it sees.
    ``gain``, the learned norm, is initialized to ||w||.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.linalg.vector_norm(self.weight.detach()))

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> Self:
        """Return a layer with the geometry and the parameters of ``conv``."""
        layer = adopt(cls, conv)
        with torch.no_grad():
            layer.gain.copy_(torch.linalg.vector_norm(conv.weight))
        return layer

    def sources(self) -> tuple[Tensor, ...]:
        """Return the weight and the gain."""
        return self.weight, self.gain

    def make_matrices(self, torus: Size, stride: Size) -> Tensor:
        """Return the Cayley transforms of the kernel's matrices."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        norm = nonzero(torch.linalg.vector_norm(weight))
        weight = weight * (self.gain / norm)
        return cayley(kernel_symbol(weight, torus, stride, self.groups, dilation_of(self)))
