"""Convolutional normalization (ConvNorm): each channel of a convolution becomes a tight frame.

    y_o = r_o * (A_o A_o^T)^(-1/2) (w_o * x) + b_o

See ``robench.layers.convnorm`` for the layer and its math. The paper's Table 1 uses it with its
affine and BatchNorm; Table 2 (SimBA) without BatchNorm.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import ConvDefense, register_defense
from robench.base import DIFFERENTIABLE, Kind
from robench.layers.convnorm import AffineInit, ConvNorm2d, EvalStats


@register_defense("convnorm", reference="arXiv:2103.00673")
@dataclass(frozen=True)
class ConvNorm(ConvDefense):
    """Convolutions divided, channel by channel, by the square root of their power spectrum.

    Attributes:
        affine: add a learned depthwise convolution after the normalization.
        affine_init: ``default`` (torch's random initialization, as in the paper) or ``delta``
            (identity).
        eval_stats: the statistics used in evaluation, see
            :class:`robench.layers.convnorm.ConvNorm2d`.
        detach: block gradients through the normalization, as in the paper.
    """

    kind: ClassVar[Kind] = "convolution"
    stateful_in_training: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    affine: bool = True
    affine_init: AffineInit = "default"
    eval_stats: EvalStats = "running_autocorr"
    detach: bool = True

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Normalize the convolution."""
        return ConvNorm2d.from_conv(
            conv,
            affine=self.affine,
            affine_init=self.affine_init,
            eval_stats=self.eval_stats,
            detach=self.detach,
        )

    def before_training(self, model: nn.Module, total_forwards: int) -> None:
        """Spread the schedule of the running averages over the whole training."""
        for module in model.modules():
            if isinstance(module, ConvNorm2d):
                module.total_forwards = total_forwards
