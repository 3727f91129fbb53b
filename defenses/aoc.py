"""Adaptive orthogonal convolutions (AOC; Boissin, Mamalet, Fel, Picard, Massena, Serrurier 2025).

An explicit kernel whose operator is orthogonal (on a torus; of norm at most 1 with zero padding),
with strides, groups and dilation: block convolutions (BCOP) composed with a reshaped orthogonal
kernel. Uses the orthogonium library. A 1x1 kernel of stride s sees one pixel per stride; an
orthogonal depthwise kernel can only move the image.
Training starts from the library's own random orthogonal kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrize import ParametrizationList

from robench import ConvDefense, Supports, register_defense
from robench.base import DIFFERENTIABLE, FLOAT32
from robench.layers.circular import repeats_pixels


class _Contiguous(nn.Module):
    """Makes weights contiguous: the library takes views of them, which channels_last forbids."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.contiguous()

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


class _SettledInEvaluation(nn.Module):
    """The library's power iteration, whose vectors stay as they are in evaluation.

    It moves them in every forward, so that logits would differ from call to call, and an
    evaluation would change the network. Names in the state dict are those of the library.
    """

    def __init__(self, steps: nn.Module) -> None:
        super().__init__()
        self.parametrizations = steps.parametrizations
        vars(self)["steps"] = steps  # no submodule: its state would be listed twice

    def forward(self, weight: Tensor, *args: Any, **options: Any) -> Tensor:
        """Normalize a kernel; in training, keep the vectors that were reached."""
        steps = vars(self)["steps"]
        if self.training:
            normalized: Tensor = steps(weight, *args, **options)
            return normalized
        copies = {name: vector.detach().clone() for name, vector in steps.named_parameters()}
        settled: Tensor = functional_call(steps, copies, (weight, *args), options)
        return settled

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight whose normalized one is given, as the library does."""
        inverse: Tensor = vars(self)["steps"].right_inverse(weight)
        return inverse


@register_defense("aoc", reference="arXiv:2501.07930 (orthogonium)")
@dataclass(frozen=True)
class Aoc(ConvDefense):
    """Orthogonal convolutions from orthogonium."""

    strict_lipschitz: ClassVar[bool] = True
    stateful_in_training: ClassVar[bool] = True
    supports: ClassVar[Supports] = Supports(mixed_precision=False)
    requires: ClassVar[str] = "orthogonium"
    recipe: ClassVar[Mapping[str, Any]] = FLOAT32
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse the geometries that the library does not support."""
        (k1, k2), (s1, s2), (d1, d2) = conv.kernel_size, conv.stride, conv.dilation
        if k1 != k2 or s1 != s2 or d1 != d2:
            return "orthogonium takes square kernels, strides and dilations only"
        if 1 < k1 < s1:
            return f"its stride {s1} is larger than its kernel {k1}"
        if conv.weight.dtype != torch.float32:
            return f"its dtype is {conv.weight.dtype}, orthogonium computes in torch.float32"
        if k1 == 1 < s1 and any(conv._reversed_padding_repeated_twice):
            return "it is a 1x1 kernel that strides over padding"
        if s1 > 1 and d1 > 1:
            return "it has both a stride and a dilation"
        if s1 > 1 and conv.padding_mode == "circular":
            return "it strides over circular padding, which does not work for every input size"
        if 1 < s1 < k1:  # made of two kernels: one keeps the size, the other strides
            if max(conv.in_channels, conv.out_channels // s1**2) % conv.groups:
                return "orthogonium cannot split the channels between its two kernels into groups"
            if max(conv.in_channels, conv.out_channels) < 2 * conv.groups:
                return "it strides with fewer than two channels per group"
        return repeats_pixels(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return an orthogonal convolution of the same geometry."""
        from orthogonium.layers.conv.AOC import AdaptiveOrthoConv2d
        from orthogonium.reparametrizers import BatchedPowerIteration

        skips = conv.kernel_size == (1, 1) and conv.stride[0] > 1
        orthogonal = AdaptiveOrthoConv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size[0],
            stride=1 if skips else conv.stride[0],
            padding=conv.padding,
            dilation=conv.dilation[0],
            groups=conv.groups,
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
        )
        for steps in orthogonal.modules():
            if isinstance(steps, ParametrizationList):
                steps.insert(0, _Contiguous())
        for part in list(orthogonal.modules()):
            for name, child in list(part.named_children()):
                if isinstance(child, BatchedPowerIteration):
                    part._modules[name] = _SettledInEvaluation(child)
        orthogonal.to(conv.weight)
        # Max pooling with a 1x1 window keeps one pixel per stride.
        return nn.Sequential(nn.MaxPool2d(1, conv.stride), orthogonal) if skips else orthogonal
