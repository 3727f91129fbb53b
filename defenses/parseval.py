"""Parseval networks (Cisse, Bojanowski, Grave, Dauphin, Usunier 2017): a step towards tight frames.

    W <- (1 + rate) W - rate W W^T W

after each step of the optimizer, W = reshape(w, out, in * kh * kw) or its transpose where that has
fewer rows: one step down the gradient of rate / 4 ||W W^T - I||^2. The paper further divides each
kernel by sqrt(kh * kw), which a norm layer behind it undoes; that is left out.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from robench.base import ConvDefense, Kind
from robench.layers.reparametrize import matrices
from robench.layers.selected import selected_convs
from robench.registry import register_defense


@register_defense("parseval", reference="arXiv:1704.08847")
@dataclass(frozen=True)
class Parseval(ConvDefense):
    """Kernels pulled towards tight frames after each step.

    Attributes:
        rate: how far, "beta"; 0.0003 in the paper.
        layers: patterns of the layers' names, separated by ``|``.
    """

    kind: ClassVar[Kind] = "projection"

    rate: float = 3e-4
    layers: str = "*"

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Retract every chosen kernel, group by group."""
        for conv in selected_convs(model, self.layers):
            matrix = matrices(conv.weight, conv.groups)
            wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
            wide = (1 + self.rate) * wide - self.rate * (wide @ wide.mT) @ wide
            kept = wide if matrix.shape[-2] <= matrix.shape[-1] else wide.mT
            conv.weight.copy_(kept.reshape(conv.weight.shape))
