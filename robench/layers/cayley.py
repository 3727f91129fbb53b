"""Orthogonal convolution by the Cayley transform, frequency by frequency (Trockman, Kolter 2021).

For the matrix W(f) of the circular convolution at frequency f, transposed if it is wide, with U its
first square block and V the rest,

    A = U - U^H + V^H V,    Q(f) = [ (I - A) (I + A)^-1 ;  -2 V (I + A)^-1 ],

has orthonormal columns, since I + A is never singular. W is the symbol of the kernel, scaled to a
learned norm: g w / ||w||. A stride is first unfolded into channels (space to depth), with zero
padding if it does not divide the input; a 1x1 kernel sees one pixel per stride. The layer pads
circularly, regardless of the convolution that it replaces. arXiv:2104.07167.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.layer_bound import LayerBound
from robench.layers.adopt import adopt
from robench.layers.circular import Size, dilation_of, kernel_of, on_torus, symbol
from robench.layers.nonzero import nonzero
from robench.layers.operator_bound import transformed_bound
from robench.layers.weight_cache import WeightCache


def cayley(matrices: Tensor) -> Tensor:
    """Return the Cayley transform of matrices (..., out, in); the smaller side is orthonormal."""
    rows, columns = matrices.shape[-2:]
    if rows < columns:
        return cayley(matrices.mH).mH
    top, rest = matrices[..., :columns, :], matrices[..., columns:, :]
    skew = top - top.mH + rest.mH @ rest
    eye = torch.eye(columns, dtype=matrices.dtype, device=matrices.device).expand_as(skew)
    sides = (eye + skew, torch.cat([eye - skew, -2 * rest], -2))
    # Never singular; torch's own check would make the host wait for a GPU.
    return torch.linalg.solve_ex(*sides, left=False).result


class CayleyConv2d(nn.Conv2d):
    """An orthogonal convolution; takes the arguments of ``nn.Conv2d``.

    Maps inputs of n pixels to ceil(n / stride), like a convolution that pads by half its kernel. It
    preserves norms if it has at least as many outputs as inputs times stride squared; with fewer
    outputs, its transpose does. For a strided 1x1 kernel this holds for the pixels that it sees.
    ``gain``, the learned norm, is initialized to ||w||.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.linalg.vector_norm(self.weight.detach()))
        self._cache: WeightCache[Tensor] = WeightCache()

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> Self:
        """Return a layer with the geometry and the parameters of ``conv``."""
        layer = adopt(cls, conv)
        with torch.no_grad():
            layer.gain.copy_(torch.linalg.vector_norm(conv.weight))
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in, H, W) or (in, H, W) to (B, out, ceil(H / s1), ceil(W / s2))."""
        if input.ndim == 3:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        with torch.autocast(input.device.type, enabled=False):
            x = input.to(torch.promote_types(input.dtype, torch.float32))
            out = self._pointwise(x) if self.kernel_size == (1, 1) else self._filtered(x)
        if self.bias is not None:
            out = out + self.bias.to(out.dtype).view(-1, 1, 1)
        return out.to(input.dtype)

    def _pointwise(self, x: Tensor) -> Tensor:
        seen = x[..., :: self.stride[0], :: self.stride[1]]
        kernel = self.matrices((1, 1), (1, 1)).real.reshape(self.weight.shape)
        return F.conv2d(seen, kernel.to(x.dtype), None, groups=self.groups)

    def _filtered(self, x: Tensor) -> Tensor:
        (s1, s2), (height, width) = self.stride, x.shape[-2:]
        x = F.pad(x, (0, -width % s2, 0, -height % s1))
        m1, m2 = x.shape[-2] // s1, x.shape[-1] // s2
        phases = x.unflatten(-1, (m2, s2)).unflatten(-3, (m1, s1)).permute(0, 1, 3, 5, 2, 4)
        spectrum = torch.fft.rfft2(phases.flatten(1, 3)).unflatten(1, (self.groups, -1))
        matrices = self.matrices((m1 * s1, m2 * s2), (s1, s2)).to(spectrum.dtype)
        filtered = matrices @ spectrum.flatten(3).permute(3, 1, 2, 0)
        result = filtered.permute(3, 1, 2, 0).flatten(1, 2).unflatten(-1, (m1, m2 // 2 + 1))
        return torch.fft.irfft2(result, s=(m1, m2))

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return its bound: 1 up to rounding; see :class:`robench.base.Bounded`."""
        return transformed_bound(self, shape, within=1.0)

    def circular_operator(self, size: Size) -> tuple[Tensor, Size]:
        """Return the orthogonal kernel on the torus of the padded input, and the stride."""
        torus = tuple(-(-n // s) * s for n, s in zip(size, self.stride, strict=True))
        grid, stride = (torus[0], torus[1]), (self.stride[0], self.stride[1])
        if self.kernel_size == (1, 1):
            kernel = self.matrices((1, 1), (1, 1)).real.reshape(self.weight.shape)
            return on_torus(kernel, grid), stride
        return kernel_of(self.matrices(grid, stride), grid, stride), stride

    def matrices(self, torus: Size, stride: Size) -> Tensor:
        """Return Q(f) in the layout of :func:`robench.layers.circular.symbol`; cached if frozen."""

        def make() -> Tensor:
            weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
            norm = nonzero(torch.linalg.vector_norm(weight))
            kernel = on_torus(weight * (self.gain / norm), torus, dilation_of(self))
            return cayley(symbol(kernel, stride, self.groups))

        return self._cache.get(make, (self.weight, self.gain), torus, stride)
