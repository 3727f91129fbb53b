"""Orthogonal convolutional networks (OCNN; Wang, Chen, Chakraborty, Yu 2020): a penalty.

    loss + strength * sum over layers of || G - I ||_F,    G[o, o', l] = <w_o, w_o' shifted by s l>

over all lags l at which filters overlap, where I is the identity at lag 0 and zero elsewhere. It is
0 if and only if the convolution's operator is orthogonal away from the border. If a layer has more
outputs than it sees inputs, its columns are compared instead (the two differ by a constant when
squared, Lemma 1).

Differs from the released code (``ocnn_paper``), which compares, for a 3x3 kernel, only 9 of the 25
lags at stride 1 and not even lag 0 at stride 2, and only the first convolution of each block.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.overlaps import orthogonality_gap
from robench.layers.selected import check_not_negative, selected_convs


@register_defense("ocnn", reference="arXiv:1911.12207")
@dataclass(frozen=True)
class Ocnn(ConvDefense):
    """A penalty on the overlaps of filters at all shifts.

    Attributes:
        strength: weight of the penalty in the loss.
        squared: penalize squared norms; the paper's code does not square.
        layers: patterns of layer names, separated by ``|``.

    Raises:
        UserError: if strength is negative or not finite.
    """

    kind: ClassVar[Kind] = "penalty"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    strength: float = 1e-3
    squared: bool = False
    layers: str = "*"

    def __post_init__(self) -> None:
        check_not_negative("strength", self.strength)

    def penalty(self, model: nn.Module) -> Tensor:
        """Return the sum over the selected layers."""
        with torch.autocast(next(model.parameters()).device.type, enabled=False):
            gaps = [orthogonality_gap(conv) for conv in selected_convs(model, self.layers)]
            if self.squared:
                return self.strength * torch.stack([gap.square().sum() for gap in gaps]).sum()
            norms = [torch.linalg.vector_norm(gap) for gap in gaps]
            return self.strength * torch.stack(norms).sum()
