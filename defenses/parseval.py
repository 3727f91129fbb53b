"""Parseval networks (Cisse, Bojanowski, Grave, Dauphin, Usunier 2017): a step toward tight frames.

    W <- (1 + rate) W - rate W W^T W

after each step of the optimizer, W = reshape(w, out, in * kh * kw) or its transpose if that has
fewer rows: one gradient step on rate / 4 ||W W^T - I||^2. The paper also divides each kernel by
sqrt(kh * kw), which a subsequent norm layer undoes; this is left out here.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.reparametrize import matrices
from robench.layers.selected import check_not_negative, selected_convs


@register_defense("parseval", reference="arXiv:1704.08847")
@dataclass(frozen=True)
class Parseval(ConvDefense):
    """Kernels pulled toward tight frames after each optimizer step.

    Attributes:
        rate: step size, "beta"; 0.0003 in the paper.
        layers: patterns of layer names, separated by ``|``.

    Raises:
        UserError: if rate is negative or not finite.
    """

    kind: ClassVar[Kind] = "projection"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    rate: float = 3e-4
    layers: str = "*"

    def __post_init__(self) -> None:
        check_not_negative("rate", self.rate)

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Retract every selected kernel that is trained, group by group."""
        for conv in selected_convs(model, self.layers):
            if not conv.weight.requires_grad:
                continue
            matrix = matrices(conv.weight, conv.groups)
            wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
            wide = (1 + self.rate) * wide - self.rate * (wide @ wide.mT) @ wide
            retracted = wide if matrix.shape[-2] <= matrix.shape[-1] else wide.mT
            conv.weight.copy_(retracted.reshape(conv.weight.shape))
