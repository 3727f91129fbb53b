"""Convolutions that unfold their stride into channels (space to depth) before they are applied.

Images are padded with zeros if the stride does not divide them; a 1x1 kernel sees one pixel per
stride.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UnfoldedConv2d(nn.Conv2d):
    """A convolution in float32 or better; takes the arguments of ``nn.Conv2d``.

    Maps inputs of n pixels to ceil(n / stride), like a convolution that pads by half its kernel. A
    subclass says what it does to images, in :meth:`filtered`, and to pixels, in
    :meth:`matrix_of_a_pixel`.
    """

    @abstractmethod
    def filtered(self, x: Tensor) -> Tensor:
        """Map (B, in, H, W) to (B, out, ceil(H / s1), ceil(W / s2)), without the bias."""

    @abstractmethod
    def matrix_of_a_pixel(self) -> Tensor:
        """Return the kernel of a 1x1 layer, (out, in / groups, 1, 1)."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in, H, W) or (in, H, W) to (B, out, ceil(H / s1), ceil(W / s2))."""
        if input.ndim == 3:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        with torch.autocast(input.device.type, enabled=False):
            x = input.to(torch.promote_types(input.dtype, torch.float32))
            out = self._pointwise(x) if self.kernel_size == (1, 1) else self.filtered(x)
        if self.bias is not None:
            out = out + self.bias.to(out.dtype).view(-1, 1, 1)
        return out.to(input.dtype)

    def unfolded(self, x: Tensor) -> Tensor:
        """Return the pixels of a stride as channels, (B, groups, in / groups * s1 * s2, ...)."""
        (s1, s2), (height, width) = self.stride, x.shape[-2:]
        x = F.pad(x, (0, -width % s2, 0, -height % s1))
        x = x.unflatten(-1, (-1, s2)).unflatten(-3, (-1, s1)).permute(0, 1, 3, 5, 2, 4)
        return x.flatten(1, 3).unflatten(1, (self.groups, -1))

    def _pointwise(self, x: Tensor) -> Tensor:
        seen = x[..., :: self.stride[0], :: self.stride[1]]
        return F.conv2d(seen, self.matrix_of_a_pixel().to(x.dtype), None, groups=self.groups)
