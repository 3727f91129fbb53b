"""Proved bounds of convolutions, from above.

The norm of a convolution is the largest singular value of the matrices of its circular operator
(``robench.layers.circular``), which bounds the operator on a padded image; it is bounded by Gram
iteration.
"""

import math

import torch
from torch import Tensor, nn

from robench.base.layer_bound import LayerBound
from robench.errors import UserError
from robench.layers.circular import circular_operator, gram_bound, repeats_pixels, symbol

STEPS = 17
"""Gram iterations: for a matrix of rank r with equal singular values the bound is r^(2^-18) times
the norm, one part in 40,000 too large for 512 channels."""

SLACK = 1e-9
"""Relative slack of a bound that was itself computed in float64. Gram iteration halves the relative
error of each of its steps, so that what stays is that of a few products and transforms: below 1e-11
for matrices of 4,096 rows."""


def above(value: float) -> float:
    """Return an upper bound on what was computed in float64 as ``value``."""
    return value * (1 + SLACK)


def norm_bound(matrices: Tensor) -> float:
    """Return an upper bound on the largest singular value of float64 matrices (..., out, in)."""
    return above(float(gram_bound(matrices, STEPS)))


def shift_bound(bias: Tensor | None, pixels: int) -> float:
    """Return the norm of a bias that is added to so many pixels."""
    return 0.0 if bias is None else above(float(bias.detach().norm()) * math.sqrt(pixels))


def convolution_bound(layer: nn.Conv2d, shape: tuple[int, ...]) -> LayerBound:
    """Return the bound of a layer that only convolves with its weight.

    Args:
        layer: the layer, in float64.
        shape: shape of its input, (C, H, W).

    Raises:
        UserError: if its padding repeats pixels, or its weight is not of the size that it tells;
            the end of a sentence about the layer.
    """
    if reason := repeats_pixels(layer) or _other_weight(layer):
        raise UserError(reason)
    weight = layer.weight.detach()
    # The norm of a matrix is at most the root of its largest row sum times its largest column sum.
    rows = weight.abs().flatten(1).sum(1).max()
    columns = weight.abs().unflatten(0, (layer.groups, -1)).sum((1, 3, 4)).max()
    return LayerBound(
        norm=_norm(layer, weight, shape),
        absolute=above(float((rows * columns).sqrt())),
        terms=weight[0].numel() + 2,
        shift=shift_bound(layer.bias, output_pixels(layer, shape)),
    )


def _other_weight(layer: nn.Conv2d) -> str | None:
    """Return why a weight is not the one of which a convolution tells; None if it is.

    It computes with the weight, whatever it tells, and bounds are of what it tells.
    """
    told = (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)
    found = tuple(layer.weight.shape)
    if found == told:
        return None
    return f"its weight has the shape {found}, and its sizes and groups ask for {told}"


def transformed_bound(layer: nn.Conv2d, shape: tuple[int, ...], *, within: float) -> LayerBound:
    """Return the bound of a convolution that is applied in the frequency domain.

    Transforms of N1 x N2 pixels, by FFT or as matrix products along both axes, round by at most
    (N1 + N2) sqrt(N1 N2) units each: that many as matrices, whose absolute values have the norm
    sqrt(N1 N2) times their own. A product with a matrix of ``in`` columns rounds by in^(3/2) units,
    for the same reason. A factor of 8 is for complex numbers and for both directions.

    Args:
        layer: the layer, in float64, which tells its ``circular_operator``.
        shape: shape of its input, (C, H, W).
        within: largest norm of what is computed between image and result, for an image of norm 1,
            times what it is multiplied by afterwards.
    """
    kernel, stride = circular_operator(layer, (shape[1], shape[2]))
    matrices = symbol(kernel.detach(), stride, layer.groups)
    norm, (n1, n2) = norm_bound(matrices), kernel.shape[-2:]
    terms = 8 * ((n1 + n2) * (n1 * n2) ** 0.5 + matrices.shape[-1] ** 1.5)
    taps = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    return LayerBound(
        norm=norm,
        absolute=max(norm, within),
        terms=math.ceil(terms) + taps + 2,
        shift=shift_bound(layer.bias, output_pixels(layer, shape)),
    )


def output_pixels(layer: nn.Conv2d, shape: tuple[int, ...]) -> int:
    """Return the number of pixels of a convolution's result."""
    with torch.no_grad():
        result = layer(torch.zeros(1, *shape, dtype=layer.weight.dtype))
    return math.prod(result.shape[2:])


def _norm(layer: nn.Conv2d, weight: Tensor, shape: tuple[int, ...]) -> float:
    if layer.kernel_size == (1, 1):  # one matrix for all frequencies; a stride leaves out pixels
        return norm_bound(weight.flatten(1).unflatten(0, (layer.groups, -1)))
    kernel, stride = circular_operator(layer, (shape[1], shape[2]))
    return norm_bound(symbol(kernel.detach(), stride, layer.groups))
