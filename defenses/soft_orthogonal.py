"""Soft orthogonality (SO; Bansal, Chen, Wang 2018): a penalty on flattened kernels.

    loss + strength * sum over layers of || W W^T - I ||_F^2,    W = reshape(w, out, in * kh * kw),

or its transpose if that has fewer rows. This does not make the convolution's operator orthogonal;
``ocnn`` does.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.reparametrize import matrices
from robench.layers.selected import check_not_negative, selected_convs


@register_defense("soft_orthogonal", reference="arXiv:1810.09102")
@dataclass(frozen=True)
class SoftOrthogonal(ConvDefense):
    """A penalty on kernels whose matrix is not orthogonal.

    Attributes:
        strength: weight of the penalty in the loss.
        layers: patterns of layer names, separated by ``|``.

    Raises:
        UserError: if strength is negative or not finite.
    """

    kind: ClassVar[Kind] = "penalty"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    strength: float = 1e-3
    layers: str = "*"

    def __post_init__(self) -> None:
        check_not_negative("strength", self.strength)

    def penalty(self, model: nn.Module) -> Tensor:
        """Return the sum of squared deviations over the selected layers."""
        with torch.autocast(next(model.parameters()).device.type, enabled=False):
            gaps = [_gap(conv) for conv in selected_convs(model, self.layers)]
            return self.strength * torch.stack(gaps).sum()


def _gap(conv: nn.Conv2d) -> Tensor:
    matrix = matrices(conv.weight, conv.groups)
    wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
    gram = wide @ wide.mT
    return (gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)).square().sum()
