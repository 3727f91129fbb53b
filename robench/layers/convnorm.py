"""Convolutional normalization (Liu et al., NeurIPS 2021, arXiv:2103.00673), as a layer.

For each output channel o, the convolution A_o is followed by the inverse square root of A_o A_o^T,
which is a filter with the gain

    V_o(f) = S_o(f)^(-1/2),    S_o(f) = sum_i |w^_oi(f)|^2,

applied on the grid of the full linear convolution (sides n + d (k - 1)) and then cropped and
strided. The circular operator of each channel is then a tight frame: A_o A_o^T = I. It is weight
normalization per frequency. No gradient flows through V (``detach``), as in the paper. The
learned affine that follows is a depthwise convolution r_o and a bias.
"""

import copy
import math
import re
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.layer_bound import LayerBound
from robench.errors import UserError
from robench.kernels.depthwise import Depthwise
from robench.kernels.fourier_conv import filtered_conv
from robench.kernels.plane_filter import PlaneGain, plane_gain
from robench.layers.adopt import adopt
from robench.layers.circular import dilation_of, kernel_on_torus, torus_of
from robench.layers.foldable import plain_conv
from robench.layers.kernel_spectrum import autocorrelation, power_spectrum
from robench.layers.operator_bound import convolution_bound, transformed_bound
from robench.layers.weight_cache import WeightCache

EvalStats = Literal["running_autocorr", "exact", "running_v"]
AffineInit = Literal["default", "delta"]
RUNNING_V = "running_v_"


def gain(spectrum: Tensor) -> Tensor:
    """Return V = S^(-1/2), (out, N1, N2 // 2 + 1), finite everywhere.

    S is clamped below at 1e-12 of the channel's largest value, for spectral nulls, and at 1e-30,
    for filters that are zero.
    """
    largest = spectrum.amax((1, 2), keepdim=True)
    return torch.maximum(spectrum, 1e-12 * largest).clamp_min(1e-30).rsqrt()


def averaging_rate(forwards: Tensor, total: int) -> Tensor:
    """Return the weight of the newest statistic after ``forwards`` training forwards.

    max((1 + cos(pi min(t, total) / total)) / 2, 0.01): from 1 to 0.01 over training.
    """
    share = forwards.clamp_max(total) / max(total, 1)
    return (0.5 * (1 + torch.cos(math.pi * share))).clamp_min(0.01)


class ConvNorm2d(nn.Conv2d):
    """A convolution with ConvNorm; takes the arguments of ``nn.Conv2d`` and those below.

    Works for any stride, padding, dilation, kernel size, number of groups and input size; the bias
    is added after the normalization. Images wrap around at the border of the filter's grid.

    Args:
        affine: add a depthwise convolution of the same kernel size and a bias after it.
        affine_init: ``default`` is torch's random initialization, as in the paper; ``delta``
            starts from the identity.
        eval_stats: the statistics used in evaluation: ``running_autocorr`` is a running average of
            the kernel's autocorrelation, valid for any input size; ``exact`` is the current
            kernel; ``running_v`` is the paper's running average of V, one per input size.
        detach: block gradients through V.
        total_forwards: training forwards over which the averaging rate decays.
    """

    num_forwards: Tensor
    running_autocorr: Tensor

    def __init__(
        self,
        *args: Any,
        affine: bool = True,
        affine_init: AffineInit = "default",
        eval_stats: EvalStats = "running_autocorr",
        detach: bool = True,
        total_forwards: int = 40_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.eval_stats = eval_stats
        self.detach = detach
        self.total_forwards = total_forwards
        self._cache: WeightCache[PlaneGain] = WeightCache()
        channels, (kh, kw) = self.out_channels, self.kernel_size
        lags = self.weight.new_zeros(channels, 2 * kh - 1, 2 * kw - 1)
        self.register_buffer("running_autocorr", lags.detach())
        counter = torch.zeros((), dtype=torch.int64, device=self.weight.device)
        self.register_buffer("num_forwards", counter)
        self.affine = _depthwise(channels, (kh, kw), affine_init) if affine else nn.Identity()
        self.affine.to(self.weight)

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, **options: Any) -> Self:
        """Return a layer with the geometry and the parameters of ``conv``."""
        return adopt(cls, conv, **options)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in, H, W) or (in, H, W) to the output shape of the convolution."""
        if input.ndim == 3:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if self.kernel_size == (1, 1):
            out = self._conv_forward(input, self.pointwise_weight(), None)
        else:
            out = self._filtered(input)
        if self.bias is not None:
            out = out + self.bias.to(out.dtype).view(-1, 1, 1)
        result: Tensor = self.affine(out)
        return result

    def pointwise_weight(self) -> Tensor:
        """Return the normalized weight of a 1x1 kernel, whose V is constant over frequencies."""
        return self.weight * self._gain((1, 1)).gain.to(self.weight.dtype).unsqueeze(1)

    def _filtered(self, x: Tensor) -> Tensor:
        left, right, top, bottom = self._reversed_padding_repeated_twice
        if self.padding_mode != "zeros":
            x = F.pad(x, (left, right, top, bottom), self.padding_mode)
            left = right = top = bottom = 0
        reach = self._reach()
        height = x.shape[-2] + top + bottom - reach[0]
        width = x.shape[-1] + left + right - reach[1]
        if min(height, width) < 1:
            raise RuntimeError(
                f"the kernel reaches over {reach[0] + 1}x{reach[1] + 1} pixels, more than the "
                f"padded input of {height + reach[0]}x{width + reach[1]}"
            )
        # Padding beyond the kernel's reach is not part of the full convolution: apply it first.
        extra = [max(p - reach[1], 0) for p in (left, right)]
        extra += [max(p - reach[0], 0) for p in (top, bottom)]
        if any(extra):
            x = F.pad(x, extra)
        start = (reach[0] - (top - extra[2]), reach[1] - (left - extra[0]))
        rows = range(start[0], start[0] + height, self.stride[0])
        columns = range(start[1], start[1] + width, self.stride[1])
        gain = self._gain((x.shape[-2] + reach[0], x.shape[-1] + reach[1]))
        dilation = dilation_of(self)
        return filtered_conv(x, self.weight, gain, dilation, self.groups, rows, columns)

    def _gain(self, size: tuple[int, int]) -> PlaneGain:
        weight = self.weight.detach() if self.detach else self.weight

        def prepare() -> PlaneGain:
            with torch.autocast(weight.device.type, enabled=False):
                return plane_gain(self._statistics(autocorrelation(weight), size), size)

        if self.training:
            return prepare()
        # In evaluation, and hence under attack, the gain is computed once for all forwards.
        sources = (self.weight, self.running_autocorr, self.num_forwards)
        return self._cache.get(prepare, sources, size, self.eval_stats)

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return the bound of the convolution with its filter, in evaluation, without affine.

        The filter multiplies what the convolution rounds by its largest gain.

        Raises:
            UserError: if the filter's grid is not the torus of the convolution; the end of a
                sentence.
        """
        if self.kernel_size == (1, 1):
            return convolution_bound(plain_conv(self, self.pointwise_weight(), self.bias), shape)
        grid = self._torus((shape[1], shape[2]))
        largest = float(self._gain(grid).gain.max())
        convolution = convolution_bound(plain_conv(self, self.weight, None), shape)
        return transformed_bound(self, shape, within=largest * convolution.absolute)

    def circular_operator(self, size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Return the normalized kernel, without affine, on a torus, and the stride.

        Raises:
            UserError: if the filter's grid is not the torus of the convolution; the end of a
                sentence.
        """
        kernel, stride = kernel_on_torus(self, self.weight, size)
        grid = (1, 1) if self.kernel_size == (1, 1) else self._torus(size)
        gain = self._gain(grid).gain.to(kernel.dtype).unsqueeze(1)
        torus = (kernel.shape[-2], kernel.shape[-1])
        return torch.fft.irfft2(torch.fft.rfft2(kernel) * gain, s=torus), stride

    def _reach(self) -> list[int]:
        return [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]

    def _torus(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the grid of the filter, if it is the torus of the convolution as well.

        Raises:
            UserError: if it is not: the padding is not by zeros or wider than the kernel reaches,
                or the stride does not divide the grid; the end of a sentence.
        """
        rows, columns = self._reach()
        grid = (size[0] + rows, size[1] + columns)
        left, right, top, bottom = self._reversed_padding_repeated_twice
        wider = max(left, right) > columns or max(top, bottom) > rows
        if wider or self.padding_mode != "zeros" or torus_of(self, size)[0] != grid:
            raise UserError(f"the grid of its filter, {grid[0]}x{grid[1]}, is not its torus")
        return grid

    def folded(self) -> nn.Module | None:
        """Return a convolution for a 1x1 kernel, otherwise the layer without affine and the affine.

        In evaluation the gain is constant. For a 1x1 kernel, gain and affine are one factor per
        channel. For other kernels, the affine is the convolution that produces the output.
        """
        if type(self) is not ConvNorm2d or type(self.affine) not in (Depthwise, nn.Identity):
            return None
        if self.kernel_size == (1, 1):
            return self._folded_pointwise()
        if isinstance(self.affine, nn.Identity):
            return None
        without = copy.deepcopy(self)
        without.affine = nn.Identity()
        return nn.Sequential(without, self.affine)

    def _folded_pointwise(self) -> nn.Conv2d:
        weight, bias = self.pointwise_weight(), self.bias
        if isinstance(self.affine, nn.Conv2d):
            factor, shift = self.affine.weight.flatten(), self.affine.bias
            assert shift is not None
            weight = weight * factor.view(-1, 1, 1, 1)
            bias = shift if bias is None else factor * bias + shift
        return plain_conv(self, weight, bias)

    def train(self, mode: bool = True) -> Self:
        """Set the mode and drop the gain cached for evaluation."""
        self._cache.clear()
        return super().train(mode)

    def _statistics(self, lags: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the gain to use for a kernel's autocorrelation; in training, update averages."""
        dilation = dilation_of(self)
        current = gain(power_spectrum(lags, size, dilation))
        name = f"{RUNNING_V}{size[0]}x{size[1]}"
        if self.training:
            rate = averaging_rate(self.num_forwards, self.total_forwards)
            with torch.no_grad():
                if self.eval_stats == "running_v":
                    self._average(name, current, rate)
                self._average("running_autocorr", lags, rate)
                self.num_forwards += 1
            return current
        if self.eval_stats == "exact":
            return current
        if self.eval_stats == "running_v" and any(b.startswith(RUNNING_V) for b in self._buffers):
            if name not in self._buffers:
                raise RuntimeError(
                    f"no running average of V exists for a grid of {size[0]}x{size[1]}: train at "
                    f"this input size, or use eval_stats='running_autocorr', which works for any"
                )
            return getattr(self, name)
        averaged = gain(power_spectrum(self.running_autocorr, size, dilation))
        # Avoids a device synchronization: a layer that was never trained has no averages yet.
        return torch.where(self.num_forwards > 0, averaged.to(current.dtype), current)

    def _average(self, name: str, value: Tensor, rate: Tensor) -> None:
        if name not in self._buffers:
            with torch.inference_mode(False):  # inference tensors could not be updated later
                self.register_buffer(name, torch.empty_like(value, dtype=self.weight.dtype))
            getattr(self, name).copy_(value)
            return
        buffer = getattr(self, name)
        buffer.lerp_(value.to(buffer.dtype), rate.to(buffer.dtype))

    def accepts_state(self, name: str, shape: tuple[int, ...]) -> bool:
        """Return whether ``name`` is a running average of V, which training makes, of its shape."""
        grid = re.fullmatch(rf"{RUNNING_V}([1-9]\d{{0,5}})x([1-9]\d{{0,5}})", name, re.ASCII)
        if grid is None or self.eval_stats != "running_v":
            return False
        return shape == (self.out_channels, int(grid[1]), int(grid[2]) // 2 + 1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        own = [name for name in self._buffers if name.startswith(RUNNING_V)]
        for name in own if f"{prefix}num_forwards" in state_dict else ():
            delattr(self, name)  # their sizes may not be in the state
        for key in [key for key in state_dict if key.startswith(prefix + RUNNING_V)]:
            self.register_buffer(key[len(prefix) :], self.weight.new_zeros(state_dict[key].shape))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Describe the convolution and how it is normalized."""
        return f"{super().extra_repr()}, eval_stats={self.eval_stats}, detach={self.detach}"


def _depthwise(channels: int, kernel: tuple[int, int], init: AffineInit) -> nn.Conv2d:
    layer = Depthwise(channels, kernel)
    if init == "delta":
        with torch.no_grad():
            layer.weight.zero_()[:, :, (kernel[0] - 1) // 2, (kernel[1] - 1) // 2] = 1
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
