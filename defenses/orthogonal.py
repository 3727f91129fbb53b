"""Orthogonal reshaped kernels (RKO), by torch's parametrization.

    W W^T = I or W^T W = I,    W = reshape(w, out, in * kh * kw),

exactly, at every step of training. This bounds the convolution by sqrt(kh * kw) at stride 1, not
by 1, and does not make its operator orthogonal, except where the stride is the kernel's size.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.nn.utils import parametrizations

from robench.contracts import ConvDefense
from robench.layers.reparametrize import matrices, reparametrize
from robench.registry import register_defense


@register_defense("orthogonal", reference="arXiv:1901.08428 (torch.nn.utils.parametrizations)")
@dataclass(frozen=True)
class Orthogonal(ConvDefense):
    """Kernels whose matrix has orthonormal rows or columns.

    Attributes:
        orthogonal_map: how, see ``torch.nn.utils.parametrizations.orthogonal``.
    """

    orthogonal_map: Literal["matrix_exp", "cayley", "householder"] = "householder"

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Parametrize the flattened kernel of each group."""
        holder: Any = nn.Module()
        holder.weight = nn.Parameter(matrices(conv.weight.detach(), conv.groups))
        parametrizations.orthogonal(holder, orthogonal_map=self.orthogonal_map)
        return reparametrize(conv, holder.parametrizations.weight[0], as_matrix=True)
