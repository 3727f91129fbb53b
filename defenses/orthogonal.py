"""Orthogonal reshaped kernels (RKO), by torch's parametrization.

    W W^T = I or W^T W = I,    W = reshape(w, out, in * kh * kw),

exactly, at every training step. This bounds the norm of the convolution by sqrt(kh * kw) at
stride 1, not by 1, and does not make its operator orthogonal unless the stride is the kernel size.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE
from robench.layers.reparametrize import matrices, reparametrize


class _SignsKept(nn.Module):
    """Householder map that preserves the signs +-1 which torch stores on the trained diagonal.

    torch casts them to integers, so the slightest weight decay would turn them, and with them the
    whole matrix, into 0.
    """

    def __init__(self, change: nn.Module) -> None:
        super().__init__()
        self.change = change

    def forward(self, matrix: Tensor) -> Tensor:
        stored = matrix.clone()
        diagonal = stored.diagonal(dim1=-2, dim2=-1)
        diagonal.copy_(torch.where(diagonal < 0, -1.0, 1.0))
        result: Tensor = self.change(stored)
        return result

    def right_inverse(self, matrix: Tensor) -> Tensor:
        result: Tensor = self.change.right_inverse(matrix)  # type: ignore[operator]
        return result


@register_defense("orthogonal", reference="arXiv:1901.08428 (torch.nn.utils.parametrizations)")
@dataclass(frozen=True)
class Orthogonal(ConvDefense):
    """Kernels whose matrix has orthonormal rows or columns.

    Attributes:
        orthogonal_map: the map, see ``torch.nn.utils.parametrizations.orthogonal``; ``cayley`` is
            the fastest of the three in networks of moderate width.
    """

    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    orthogonal_map: Literal["cayley", "householder", "matrix_exp"] = "cayley"

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Parametrize the flattened kernel of each group."""
        holder: Any = nn.Module()
        holder.weight = nn.Parameter(matrices(conv.weight.detach(), conv.groups))
        parametrizations.orthogonal(holder, orthogonal_map=self.orthogonal_map)
        change = holder.parametrizations.weight[0]
        if self.orthogonal_map == "householder":
            change = _SignsKept(change)
        return reparametrize(conv, change, as_matrix=True)
