"""Proved bounds of layers: computed from what they do, or stated by them and put to the test."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from robench.base.layer_bound import Bounded, LayerBound
from robench.certificates.bounds import EXACT
from robench.diagnostics.probing import Map, largest_singular_value, linear_part
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
    rule = _RULES.get(type(layer))
    if rule is not None:
        return rule(layer, shape)
    if not isinstance(layer, Bounded):
        raise UserError(f"no bound is proved for a {type(layer).__name__}")
    found = layer.layer_bound(shape)
    _contradict(layer, shape, found.norm)
    return found


def _contradict(layer: nn.Module, shape: Shape, stated: float) -> None:
    """Raise an error if a layer expands more than it states: its derivative at a random point.

    Raises:
        UserError: the end of a sentence about the layer.
    """
    generator = torch.Generator().manual_seed(0)
    point = torch.randn(1, *shape, generator=generator, dtype=torch.float64)

    # A convolution is its own derivative.
    tangent = linear_part(layer) if isinstance(layer, nn.Conv2d) else _derivative(layer, point)
    found = largest_singular_value(tangent, shape, point)
    if found > stated * (1 + 1e-6):
        raise UserError(
            f"its norm is at least {found:.4g}, more than the {stated:.4g} that it states"
        )


def _derivative(layer: nn.Module, point: Tensor) -> Map:
    """Return the linear map v -> J v of a layer's derivative J, as that of u -> J^T u."""

    @torch.enable_grad()
    def apply(direction: Tensor) -> Tensor:
        x = point.detach().requires_grad_()
        y = layer(x)
        u = torch.zeros_like(y, requires_grad=True)
        (back,) = torch.autograd.grad(y, x, u, create_graph=True)
        return torch.autograd.grad(back, u, direction, create_graph=True)[0]

    return apply


def _linear(layer: nn.Linear, shape: Shape) -> LayerBound:
    weight = layer.weight.detach()
    rows, columns = (weight.abs().sum(axis).max() for axis in (1, 0))
    absolute = above(float((rows * columns).sqrt()))
    terms = weight.shape[1] + 2
    return LayerBound(norm_bound(weight[None]), absolute, terms, shift_bound(layer.bias, 1))


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
    norm = above(float(layer.std.reciprocal().max()))
    return LayerBound(norm, norm, 4, shift_bound(layer.mean / layer.std, math.prod(shape[1:])))


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
