"""1-Lipschitz convolutions of deel-torchlip (Serrurier et al. 2021).

    W <- W / sigma(W), by power iteration;  then Björck's iteration to a fixed point;  then
    w <- w / sqrt(ceil(kh / s) ceil(kw / s)),

a reshaped orthogonal kernel divided by its largest possible expansion, computed by the library.
In evaluation the kernel of the last training forward is used, so that weights cannot be averaged.
Training starts from the library's
own random kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from robench import ConvDefense, Supports, register_defense
from robench.base import DIFFERENTIABLE, FLOAT32
from robench.layers.circular import repeats_pixels


@register_defense("torchlip", reference="arXiv:2006.06520 (deel-torchlip)")
@dataclass(frozen=True)
class Torchlip(ConvDefense):
    """Convolutions from deel-torchlip: spectral and Björck normalization."""

    strict_lipschitz: ClassVar[bool] = True
    stateful_in_training: ClassVar[bool] = True
    supports: ClassVar[Supports] = Supports(
        groups=False, dilation=False, mixed_precision=False, averaging=False
    )
    requires: ClassVar[str] = "deel-torchlip"
    recipe: ClassVar[Mapping[str, Any]] = FLOAT32
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse padding that repeats pixels and strides over circular padding."""
        if max(conv.stride) > 1 and conv.padding_mode == "circular":
            return "it strides over circular padding, which does not work for every input size"
        return repeats_pixels(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return a 1-Lipschitz convolution of the same geometry."""
        from deel.torchlip import SpectralConv2d

        return SpectralConv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
        ).to(conv.weight)
