"""Convolutions whose matrices are computed frequency by frequency, and applied there.

The image is taken as a torus, after a stride was unfolded into channels
(:mod:`robench.layers.unfolded_conv`).
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from robench.base.layer_bound import LayerBound
from robench.kernels.orthogonal_matrices import batched_product
from robench.kernels.real_fft import rfft2
from robench.layers.circular import Size, kernel_of, on_torus
from robench.layers.operator_bound import transformed_bound
from robench.layers.unfolded_conv import UnfoldedConv2d
from robench.layers.weight_cache import WeightCache


class TorusConv2d(UnfoldedConv2d):
    """A convolution by matrices Q(f); takes the arguments of ``nn.Conv2d``.

    A subclass says what Q(f) is, in :meth:`make_matrices`, and from which parameters it is
    computed, in :meth:`sources`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cache: WeightCache[Tensor] = WeightCache()

    @abstractmethod
    def make_matrices(self, torus: Size, stride: Size) -> Tensor:
        """Return Q(f) in the layout of :func:`robench.layers.circular.symbol`."""

    def sources(self) -> tuple[Tensor, ...]:
        """Return the parameters from which Q(f) is computed."""
        return (self.weight,)

    def filtered(self, x: Tensor) -> Tensor:
        """Apply Q(f) at each frequency."""
        s1, s2 = self.stride
        phases = self.unfolded(x)
        m1, m2 = phases.shape[-2:]
        if not len(x):  # torch transforms no empty batch
            return x.new_zeros(0, self.out_channels, m1, m2)
        spectrum = rfft2(phases)
        matrices = self.matrices((m1 * s1, m2 * s2), (s1, s2)).to(spectrum.dtype)
        filtered = batched_product(matrices, spectrum.flatten(3).permute(3, 1, 2, 0))
        result = filtered.permute(3, 1, 2, 0).flatten(1, 2).unflatten(-1, (m1, m2 // 2 + 1))
        return torch.fft.irfft2(result, s=(m1, m2))

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return its bound: 1 up to rounding; see :class:`robench.base.Bounded`."""
        return transformed_bound(self, shape, within=1.0)

    def circular_operator(self, size: Size) -> tuple[Tensor, Size]:
        """Return the kernel of Q(f) on the torus of the padded input, and the stride."""
        torus = tuple(-(-n // s) * s for n, s in zip(size, self.stride, strict=True))
        grid, stride = (torus[0], torus[1]), (self.stride[0], self.stride[1])
        if self.kernel_size == (1, 1):
            return on_torus(self.matrix_of_a_pixel(), grid), stride
        return kernel_of(self.matrices(grid, stride), grid, stride), stride

    def matrices(self, torus: Size, stride: Size) -> Tensor:
        """Return Q(f); cached while the parameters are frozen."""

        def make() -> Tensor:
            return self.make_matrices(torus, stride)

        return self._cache.get(make, self.sources(), torus, stride)

    def matrix_of_a_pixel(self) -> Tensor:
        """Return the only matrix of a 1x1 kernel, which is the same at each frequency."""
        matrices = self.matrices((1, 1), (1, 1)).real
        return matrices.reshape(self.out_channels, self.in_channels // self.groups, 1, 1)


def changes_size(conv: nn.Conv2d) -> str | None:
    """Return why a layer that keeps the size cannot replace ``conv``, or None."""
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    reach = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    if [top + bottom, left + right] != reach or (top, left) != (bottom, right):
        return f"its padding is {conv.padding}; this layer keeps the size, which needs {reach}/2"
    return None


def no_torus(conv: nn.Conv2d) -> str | None:
    """Return why a :class:`TorusConv2d` cannot replace ``conv``, or None."""
    if reason := changes_size(conv):
        return reason
    if conv.padding_mode in ("reflect", "replicate"):
        return f"its padding_mode is '{conv.padding_mode}', this layer pads circularly"
    return None
