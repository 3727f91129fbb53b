"""ConvNorm under attack: its gain is constant there, and what is linear around it folds.

A 1x1 kernel's gain and affine are a number a channel, so that the layer is a plain convolution.
Of the others the affine is the convolution that makes the output: it takes a batch norm that
follows, and a shortcut and a ReLU on the way.
"""

import torch
from torch import Tensor, nn

from robench.kernels.depthwise import Depthwise
from robench.layers.convnorm import ConvNorm2d

CONVOLUTIONS = (nn.Conv2d, Depthwise)
"""Layers that convolve with their weight and do nothing else."""


def plain_conv(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a frozen convolution of the geometry of ``like``."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    for name in (*nn.Conv2d.__constants__, "_reversed_padding_repeated_twice"):
        setattr(conv, name, getattr(like, name))
    conv.weight = nn.Parameter(weight.detach(), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    return conv.eval()


def pointwise(layer: ConvNorm2d) -> nn.Conv2d | None:
    """Return the convolution that a 1x1 layer is in evaluation; None for other kernels."""
    affine, bias = layer.affine, layer.bias
    if layer.kernel_size != (1, 1) or type(affine) not in (*CONVOLUTIONS, nn.Identity):
        return None
    with torch.no_grad():
        weight = layer.pointwise_weight()
        if isinstance(affine, nn.Conv2d):
            factor, shift = affine.weight.flatten(), affine.bias
            assert shift is not None
            weight = weight * factor.view(-1, 1, 1, 1)
            bias = shift if bias is None else factor * bias + shift
        return plain_conv(layer, weight, bias)


def last_convolution(path: str, layer: nn.Module) -> tuple[str, nn.Module]:
    """Return path and convolution that make the output of a layer: its own, or its affine."""
    if type(layer) is ConvNorm2d:
        return f"{path}.affine", layer.affine
    return path, layer


class ConvNormThen(nn.Module):
    """ConvNorm without its affine, and a layer in the place of this, which may take a shortcut."""

    def __init__(self, layer: ConvNorm2d, last: nn.Module) -> None:
        super().__init__()
        layer.affine = nn.Identity()
        self.layer, self.last = layer, last

    def forward(self, x: Tensor, *shortcut: Tensor) -> Tensor:
        """Apply both to (B, C, H, W)."""
        result: Tensor = self.last(self.layer(x), *shortcut)
        return result
