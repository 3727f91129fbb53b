"""Proved bounds of layers: computed from what they do, or stated by them and put to the test."""

import math
from collections.abc import Callable

from torch import nn

from robench.base.layer_bound import Bounded, LayerBound
from robench.certificates.bounds import EXACT
from robench.certificates.stated import contradict
from robench.errors import UserError
from robench.kernels.depthwise import Depthwise
from robench.layers.operator_bound import (
    above,
    convolution_bound,
    norm_bound,
    shift_bound,
)
from robench.models.build import Normalize

Shape = tuple[int, ...]


def bound_of(layer: nn.Module, shape: Shape) -> LayerBound:
    """Return the proved bound of a layer in eval mode.

    Args:
        layer: a plain layer (:mod:`robench.models.plain_layers`) in float64.
        shape: shape of its input, (C, H, W) or (features,).

    Raises:
        UserError: if none is known; the end of a sentence about the layer.
    """
    if isinstance(layer, nn.Conv2d) and len(shape) != 3:
        raise UserError(f"it takes (channels, height, width), and is given {shape}")
    rule = _RULES.get(type(layer))
    if rule is not None:
        return rule(layer, shape)
    if not isinstance(layer, Bounded):
        raise UserError(f"no bound is proved for a {type(layer).__name__}")
    found = layer.layer_bound(shape)
    contradict(layer, shape, found)
    return found


def _linear(layer: nn.Linear, shape: Shape) -> LayerBound:
    weight = layer.weight.detach()
    absolute = above(float((weight.abs().sum(1).max() * weight.abs().sum(0).max()).sqrt()))
    terms, rows = weight.shape[1] + 2, math.prod(shape[:-1])
    return LayerBound(norm_bound(weight[None]), absolute, terms, shift_bound(layer.bias, rows))


def _batch_norm(layer: nn.BatchNorm2d, shape: Shape) -> LayerBound:
    if layer.running_var is None or layer.running_mean is None:
        raise UserError("it normalizes by the statistics of its batch, which bound nothing")
    scale = (layer.running_var + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight.detach().abs()
    moved = layer.running_mean.abs() * scale
    if layer.affine:
        moved = moved + layer.bias.detach().abs()
    norm = above(float(scale.max()))
    return LayerBound(norm, norm, 8, shift_bound(moved, math.prod(shape[1:])))


def _normalize(layer: Normalize, shape: Shape) -> LayerBound:
    channels = max(layer.mean.numel(), layer.std.numel(), shape[0])
    scale = layer.std.reciprocal().abs().flatten().expand(channels)
    # Several values turn one channel into as many, which all move with it.
    norm = above(float(scale.norm() if channels > shape[0] else scale.max()))
    moved = (layer.mean / layer.std).flatten().expand(channels)
    return LayerBound(norm, norm, 4, shift_bound(moved, math.prod(shape[1:])))


def _max_pool(layer: nn.MaxPool2d, shape: Shape) -> LayerBound:
    if layer.dilation not in (1, (1, 1)):
        raise UserError("its windows are dilated")
    return LayerBound(math.sqrt(_repeats(layer)))


def _average_pool(layer: nn.AvgPool2d, shape: Shape) -> LayerBound:
    if layer.divisor_override is not None or layer.padding not in (0, (0, 0)) or layer.ceil_mode:
        raise UserError("it does not divide by the number of its pixels everywhere")
    pixels = math.prod(_pair(layer.kernel_size))
    norm = above(math.sqrt(_repeats(layer) / pixels))
    return LayerBound(norm, norm, pixels + 1)


def _global_average(layer: nn.AdaptiveAvgPool2d, shape: Shape) -> LayerBound:
    pixels = _all_pixels(layer, shape)
    norm = above(pixels**-0.5)
    return LayerBound(norm, norm, pixels + 1)


def _global_max(layer: nn.AdaptiveMaxPool2d, shape: Shape) -> LayerBound:
    _all_pixels(layer, shape)
    return EXACT


def _all_pixels(layer: nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d, shape: Shape) -> int:
    if layer.output_size not in (1, (1, 1)):
        raise UserError("its windows may overlap")
    return math.prod(shape[1:])


def _leaky(layer: nn.LeakyReLU, shape: Shape) -> LayerBound:
    norm = max(1.0, abs(layer.negative_slope))
    return LayerBound(norm, norm, 1)


def _exact(layer: nn.Module, shape: Shape) -> LayerBound:
    return EXACT


_RULES: dict[type[nn.Module], Callable[..., LayerBound]] = {
    nn.Conv2d: convolution_bound,
    Depthwise: convolution_bound,
    nn.Linear: _linear,
    nn.BatchNorm2d: _batch_norm,
    Normalize: _normalize,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _global_average,
    nn.AdaptiveMaxPool2d: _global_max,
    nn.LeakyReLU: _leaky,
    nn.ReLU: _exact,
    nn.Identity: _exact,
    nn.Dropout: _exact,
    nn.Dropout2d: _exact,
    nn.Flatten: _exact,
    nn.PixelUnshuffle: _exact,
}


def _repeats(layer: nn.MaxPool2d | nn.AvgPool2d) -> int:
    """Return in how many windows a pixel is at most."""
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    return math.prod(-(-k // s) for k, s in zip(kernel, stride, strict=True))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
