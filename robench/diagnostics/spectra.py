"""Norms and condition numbers of the operators that a network's layers actually apply.

They are computed from the matrices W(f) of a layer's circular operator (Sedghi, Gupta, Long 2019)
on the torus that holds its padded input (``robench.layers.circular``): first alone, then with the
affine that follows the normalization, then with the gain of the batch norm that follows the layer.
"""

import copy
import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from robench.diagnostics.layers import Layer, layers_of
from robench.diagnostics.probing import (
    Map,
    impulse_kernel,
    is_linear,
    largest_singular_value,
    linear_part,
)
from robench.errors import UserError
from robench.layers.circular import circular_operator, on_torus, repeats_pixels, symbol
from robench.models.accept import plain_module
from robench.models.build_arguments import shape_of
from robench.models.frozen import frozen_stats, under_attack
from robench.progress import Progress, ProgressCallback, ignore_progress

ROUNDING = 1e-13
"""Fraction of the largest value below which a value is only float64 rounding error."""
COLUMNS = (
    "layer", "operator", "in_channels", "out_channels", "kernel", "stride", "input", "torus",
    "channel_condition_median", "channel_condition_max", "norm", "condition", "norm_bound",
    "padded_norm",
)  # fmt: skip


def spectra(
    model: nn.Module,
    input_size: tuple[int, int, int],
    progress: ProgressCallback = ignore_progress,
) -> pd.DataFrame:
    """Return the spectra of every convolutional layer; the model is left unchanged.

    Args:
        model: any network, with or without a defense.
        input_size: channels, height and width of an image.
        progress: called before each layer.

    Returns:
        One row per layer and operator (``convolution``; ``affine``: with the affine of the
        normalization; ``norm``: with the batch norm's gain as well), with

        - ``channel_condition_median``, ``_max``: median and maximum over channels o of the
            condition number sqrt(max_f S_o / min_f S_o) with S_o(f) = sum_i |W_oi(f)|^2, before
            the stride;
        - ``norm``, ``condition``: largest singular value of all W(f), and its ratio to the
            smallest, excluding pixels that a stride skips; inf for a singular operator;
        - ``norm_bound``: certified upper bound on ``norm`` by Gram iteration;
        - ``padded_norm``: norm of the actual module on its actual input, including its padding.

        A layer that is not linear has one row, with operator ``not linear`` and no figures. One
        that is no circular operator has a ``padded_norm`` alone: its padding repeats pixels, or it
        is a ConvNorm whose stride does not divide the grid of its filter.

    Raises:
        UserError: if the network has no convolution or does not support such images.
    """
    rows: list[dict[str, Any]] = []
    model, input_size = plain_module(model), shape_of("input_size", input_size)
    with frozen_stats(model), under_attack(model):
        layers = layers_of(model, input_size)
        for done, layer in enumerate(layers):
            note = f"{layer.name}, {done + 1}/{len(layers)} layers"
            progress(Progress("layers", done, len(layers), "layers", note))
            with parametrize.cached():  # the weights do not change here
                rows += _rows(layer)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def operators(layer: Layer) -> tuple[str, ...]:
    """Return the names of the rows that :func:`spectra` gives of a linear layer, in their order."""
    found = ["convolution"]
    found += ["affine"] * isinstance(getattr(layer.module, "affine", None), nn.Conv2d)
    return (*found, *["norm"] * (layer.gain is not None))


@dataclass(frozen=True)
class _Operator:
    """An operator of a layer as matrices, and as the power spectrum of its filters."""

    matrices: Tensor
    power: Tensor


def _rows(layer: Layer) -> Iterator[dict[str, Any]]:
    like = next(layer.module.parameters())
    apply = linear_part(layer.module)
    shape = (layer.channels, *layer.size)
    facts: dict[str, Any] = {
        "layer": layer.name,
        "in_channels": layer.channels,
        "input": _by(layer.size),
    }
    if not is_linear(apply, shape, like):
        yield {**facts, "operator": "not linear"}
        return
    facts |= {"kernel": _by(getattr(layer.module, "kernel_size", ()))}
    named = zip(operators(layer), _maps(layer, apply), strict=True)
    norms = {name: largest_singular_value(one, shape, like) for name, one in named}
    try:
        kernel, stride = _kernel(layer, apply, like)
    except UserError:
        facts |= {"stride": _by(getattr(layer.module, "stride", ()))}
        facts |= {"out_channels": apply(like.new_zeros(1, *shape)).shape[1]}
        for name, norm in norms.items():
            yield {**facts, "operator": name, "padded_norm": norm}
        return
    facts |= {"out_channels": len(kernel), "stride": _by(stride), "torus": _by(kernel.shape[-2:])}
    on_the_torus = _operators(layer, kernel.detach().double(), stride)
    for (name, norm), operator in zip(norms.items(), on_the_torus, strict=True):
        values = singular_range(_seen(operator.matrices, like.dtype))
        powers = zip(operator.power.amax((1, 2)), operator.power.amin((1, 2)), strict=True)
        conditions = [_ratio(float(a) ** 0.5, float(b) ** 0.5) for a, b in powers]
        yield {
            **facts,
            "operator": name,
            "channel_condition_median": statistics.median(conditions),
            "channel_condition_max": max(conditions),
            "norm": values.largest,
            "condition": _ratio(values.largest, values.smallest),
            "norm_bound": values.bound,
            "padded_norm": norm,
        }


def _kernel(layer: Layer, apply: Map, like: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Return the kernel on a torus, and the stride.

    Raises:
        UserError: if the layer has none because of its padding.
    """
    for module in layer.module.modules():
        if isinstance(module, nn.Conv2d) and (reason := repeats_pixels(module)):
            raise UserError(reason)
    if isinstance(layer.module, nn.Conv2d):
        return circular_operator(layer.module, layer.size)
    return impulse_kernel(apply, layer.channels, layer.size, like)


def _maps(layer: Layer, apply: Map) -> Iterator[Map]:
    """Yield the operators of a layer in their order, as what they do to its actual input."""
    if isinstance(getattr(layer.module, "affine", None), nn.Conv2d):
        bare: Any = copy.deepcopy(layer.module)
        bare.affine = nn.Identity()
        yield linear_part(bare)
    yield apply
    if layer.gain is None:
        return
    gain = layer.gain.double()

    def scaled(x: Tensor) -> Tensor:
        y = apply(x)
        return y * gain.to(y).view(-1, 1, 1)

    yield scaled


def _operators(layer: Layer, kernel: Tensor, stride: tuple[int, int]) -> Iterator[_Operator]:
    """Yield the operators of a layer in their order, as those of a torus."""
    groups = layer.channels // kernel.shape[1]
    matrices = symbol(kernel, stride, groups)
    power = torch.fft.rfft2(kernel).abs().square().sum(1)
    yield _Operator(matrices, power)
    affine = getattr(layer.module, "affine", None)
    if isinstance(affine, nn.Conv2d):
        # After the stride, the affine repeats over the frequencies that the stride aliases.
        sides = (kernel.shape[-2], kernel.shape[-1])
        weight = affine.weight.detach().double()
        factors = symbol(on_torus(weight, (sides[0] // stride[0], sides[1] // stride[1])))
        matrices = matrices * factors.reshape(len(matrices), groups, -1, 1)
        power = power * torch.fft.rfft2(on_torus(weight, sides, stride)).abs().square().squeeze(1)
        yield _Operator(matrices, power)
    if layer.gain is not None:
        yield _Operator(matrices * layer.gain.double().view(groups, -1, 1), power)


@dataclass(frozen=True)
class SingularRange:
    """The extreme singular values of a batch of matrices, and an upper bound.

    ``bound`` is the result of six Gram iterations (``robench.layers.circular.gram_bound``), that is
    (sum_i sigma_i^128)^(1/128) per matrix, computed from the eigenvalues.
    """

    smallest: float
    largest: float
    bound: float


def singular_range(matrices: Tensor) -> SingularRange:
    """Return the range of the singular values of complex matrices (..., rows, columns).

    Computed from the eigenvalues of W^H W, which is fast; the smallest is computed from W itself if
    squaring has lost its precision.
    """
    flat = matrices.flatten(0, -3)
    wide = flat if flat.shape[-2] <= flat.shape[-1] else flat.mH
    values = torch.linalg.eigvalsh(wide @ wide.mH).clamp_min(0)
    top = values.max()
    if not top:
        return SingularRange(0.0, 0.0, 0.0)
    doubtful = values[:, 0] < 1e-9 * top
    smallest = values.min().sqrt()
    if doubtful.any():
        smallest = torch.linalg.svdvals(wide[doubtful]).min()
    bound = (values / top).pow(64).sum(1).max().pow(1 / 128) * top.sqrt()
    return SingularRange(float(smallest), float(top.sqrt()), float(bound))


def _seen(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Leave out input pixels that no filter reaches: 3 of 4 for a 1x1 kernel of stride 2.

    Args:
        matrices: matrices of an operator.
        dtype: dtype in which they were computed, which determines their rounding errors.
    """
    sizes = matrices.abs().amax((0, 1, 2))
    return matrices[..., sizes >= 10 * torch.finfo(dtype).eps * sizes.max()]


def _ratio(largest: float, smallest: float) -> float:
    return largest / smallest if smallest > ROUNDING * largest else math.inf


def _by(sides: Iterable[int]) -> str:
    return "x".join(map(str, sides))
