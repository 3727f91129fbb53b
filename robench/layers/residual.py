"""Residual blocks of Lipschitz constant 1 (CPL, arXiv:2110.12690; SLL, arXiv:2303.03169).

    y = x - 2 K^T D^-1 relu(K x + b)

does not expand L2 distances if D is at least K K^T: it is a gradient step of length 2 on a convex
function of that smoothness. CPL takes D = ||K||^2. SLL takes a diagonal that dominates K K^T,

    D_o = sum_o' sum_l |G[o, o', l]| q_o' / q_o,    q > 0 learned,

with the overlaps G of K's filters (``robench.layers.overlaps``).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.layer_bound import LayerBound
from robench.layers.circular import kernel_gram_bound, kernel_on_torus, symbol
from robench.layers.nonzero import nonzero
from robench.layers.operator_bound import above, convolution_bound, norm_bound
from robench.layers.overlaps import overlaps
from robench.layers.weight_cache import WeightCache

Smoothness = Literal["diagonal", "norm"]
"""The choice of D: the diagonal of SLL or the squared norm of CPL."""


class LipschitzResidual2d(nn.Module):
    """A residual block around a convolution K that keeps the size and the number of channels.

    Args:
        conv: K, of stride 1 and one group, padded with zeros by half its kernel; its bias is b.
        smoothness: how D is computed.
    """

    def __init__(self, conv: nn.Conv2d, smoothness: Smoothness) -> None:
        super().__init__()
        self.conv = conv
        self.smoothness = smoothness
        if conv.bias is None:
            conv.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))
        if smoothness == "diagonal":
            self.log_q = nn.Parameter(torch.zeros_like(conv.bias))
        self._cache: WeightCache[Tensor] = WeightCache()

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        scale = self._inverse(input.shape[-2:]).to(self.conv.weight.dtype).view(-1, 1, 1)
        inner = F.relu(self.conv(input)) * scale
        padding, dilation = _pair(self.conv), self.conv.dilation
        back = F.conv_transpose2d(inner, self.conv.weight, None, 1, padding, 0, 1, dilation)
        return input - 2 * back

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return max(1, 2 c - 1) with c = ||D^(-1/2) K||^2; see :class:`robench.base.Bounded`.

        The block is x minus twice the gradient of a convex function of smoothness c.
        """
        inverse = self._inverse(torch.Size(shape[1:])).detach()
        weight, inner = self.conv.weight.detach(), convolution_bound(self.conv, shape)
        scaled = weight * inverse.expand(len(weight)).sqrt().view(-1, 1, 1, 1)
        kernel, stride = kernel_on_torus(self.conv, scaled, (shape[1], shape[2]))
        smoothness = norm_bound(symbol(kernel, stride)) ** 2
        back = 2 * above(float(inverse.max())) * inner.absolute
        return LayerBound(
            norm=max(1.0, 2 * smoothness - 1),
            absolute=1 + back * inner.absolute,
            terms=2 * inner.terms + 4,
            shift=back * inner.shift,
        )

    def _inverse(self, size: torch.Size) -> Tensor:
        """Return D^-1, (C,) or (1,)."""
        sources = (
            self.conv.weight,
            self.log_q if self.smoothness == "diagonal" else self.conv.weight,
        )

        def make() -> Tensor:
            with torch.autocast(self.conv.weight.device.type, enabled=False):
                return nonzero(self._smoothness((size[0], size[1])), power=2).reciprocal()

        return self._cache.get(make, sources, size)

    def _smoothness(self, size: tuple[int, int]) -> Tensor:
        weight = self.conv.weight
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        if self.smoothness == "diagonal":
            reach = overlaps(weight)[0].abs().sum((2, 3))
            q = self.log_q.to(weight.dtype).exp()
            return reach @ q / q
        return kernel_gram_bound(self.conv, weight, size).square().view(1)


def cannot_be_residual(conv: nn.Conv2d) -> bool:
    """Return whether a convolution changes size or channels, has groups, or pads with non-zeros."""
    keeps_size = all(
        2 * p == d * (k - 1)
        for p, d, k in zip(_pair(conv), conv.dilation, conv.kernel_size, strict=True)
    )
    square = conv.in_channels == conv.out_channels and conv.groups == 1 and max(conv.stride) == 1
    return not (square and keeps_size and conv.padding_mode == "zeros")


def _pair(conv: nn.Conv2d) -> tuple[int, int]:
    """Return the padding of rows and columns in pixels, even if it is given as "same"."""
    left, _, top, _ = conv._reversed_padding_repeated_twice
    return top, left
