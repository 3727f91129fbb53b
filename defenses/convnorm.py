"""Convolutional normalization: every channel of a convolution is made a tight frame.

    y_o = r_o * (A_o A_o^T)^(-1/2) (w_o * x) + b_o

See ``robench.layers.convnorm`` for the layer and its maths. In the paper's Table 1 it stands with
its affine and BatchNorm; for SimBA (Table 2) without BatchNorm.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench.base import ConvDefense, Kind
from robench.layers.convnorm import AffineInit, ConvNorm2d, EvalStats
from robench.registry import register_defense


@register_defense("convnorm", reference="arXiv:2103.00673")
@dataclass(frozen=True)
class ConvNorm(ConvDefense):
    """Each channel's convolution is divided by the square root of its power spectrum.

    Attributes:
        affine: follow with a learned depthwise convolution.
        affine_init: ``default`` (torch's random one, as in the paper) or ``delta`` (identity).
        eval_stats: what normalizes in evaluation, see :class:`robench.layers.convnorm.ConvNorm2d`.
        detach: let no gradient flow through the normalization, as in the paper.
    """

    kind: ClassVar[Kind] = "convolution"
    stateful_in_training: ClassVar[bool] = True

    affine: bool = True
    affine_init: AffineInit = "default"
    eval_stats: EvalStats = "running_autocorr"
    detach: bool = True

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Normalize it."""
        return ConvNorm2d.from_conv(
            conv,
            affine=self.affine,
            affine_init=self.affine_init,
            eval_stats=self.eval_stats,
            detach=self.detach,
        )

    def before_training(self, model: nn.Module, total_forwards: int) -> None:
        """Let the running averages settle over the whole training."""
        for module in model.modules():
            if isinstance(module, ConvNorm2d):
                module.total_forwards = total_forwards
