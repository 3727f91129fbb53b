"""OCNN as in the released code of the ConvNorm paper, bugs included, for comparison.

    loss + 0.001 * ( sum over shortcuts ||M^T M - I||_F + sum over first convolutions of blocks
                     || conv2d(w, w, stride, padding=1) - E ||_F )

on torchvision's ResNets: M is the 1x1 kernel as a tall matrix; E is the identity at index
floor(size / 2) of the lags. With padding 1 a 3x3 kernel of stride 1 is compared at 9 of its 25
lags. At stride 2 only the lags -1 and 1 remain and E is at (1, 1): lag 0 is missing, and kernels
that are orthogonal at that stride are penalized. See ``ocnn`` for the version without these bugs.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.selected import check_not_negative, selected_convs

SHORTCUTS = "*layer[2-4].0.downsample.0"
FIRST_OF_BLOCKS = "*layer[1-4].[01].conv1"


@register_defense("ocnn_paper", reference="arXiv:2103.00673 (released code)")
@dataclass(frozen=True)
class OcnnPaper(ConvDefense):
    """OCNN's penalty with the layers and lags of the ConvNorm paper's code, for ResNets.

    Attributes:
        strength: weight of the penalty in the loss.

    Raises:
        UserError: if strength is negative or not finite.
    """

    kind: ClassVar[Kind] = "penalty"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    strength: float = 1e-3

    def __post_init__(self) -> None:
        check_not_negative("strength", self.strength)

    def penalty(self, model: nn.Module) -> Tensor:
        """Return the sum of the norms, as in the released code."""
        with torch.autocast(next(model.parameters()).device.type, enabled=False):
            norms = [_flat(conv.weight) for conv in selected_convs(model, SHORTCUTS)]
            norms += [_lags(conv) for conv in selected_convs(model, FIRST_OF_BLOCKS)]
            return self.strength * torch.stack(norms).sum()


def _flat(weight: Tensor) -> Tensor:
    matrix = weight.flatten(1)
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    gap = tall.T @ tall - torch.eye(tall.shape[1], dtype=tall.dtype, device=tall.device)
    return torch.linalg.vector_norm(gap)


def _lags(conv: nn.Conv2d) -> Tensor:
    lags = F.conv2d(conv.weight, conv.weight, None, conv.stride, padding=1)
    target = torch.zeros_like(lags)
    middle = lags.shape[-1] // 2
    target[:, :, middle, middle] = torch.eye(len(lags), dtype=lags.dtype, device=lags.device)
    return torch.linalg.vector_norm(lags - target)
