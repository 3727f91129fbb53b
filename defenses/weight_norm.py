"""Weight normalization (Salimans and Kingma 2016).

    w_o = g_o v_o / ||v_o||_2

for each output channel o: length and direction of each filter are learned separately. ConvNorm does
this for each frequency of a filter instead of the filter as a whole. It was proposed as a
replacement for batch normalization (``bn=False``, the default here); a subsequent norm layer undoes
it.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn
from torch.nn.utils import parametrizations

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE


@register_defense("weight_norm", reference="arXiv:1602.07868")
@dataclass(frozen=True)
class WeightNorm(ConvDefense):
    """Filters with separately learned length and direction; norm layers are dropped.

    Attributes:
        bn: keep the network's norm layers.
    """

    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    bn: bool = field(default=False, kw_only=True)

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse filters of zeros, which have no direction: their weights would be NaN."""
        if not conv.weight.is_meta:
            zeros = int((conv.weight.detach().flatten(1).norm(dim=1) == 0).sum())
            if zeros:
                return f"{zeros} of its {conv.out_channels} filters are zero; initialize them first"
        return super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Parametrize the weight with torch's weight norm."""
        return parametrizations.weight_norm(conv, dim=0)
