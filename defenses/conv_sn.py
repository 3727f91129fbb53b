"""Spectral normalization by the norm of the convolution, not of its flattened kernel.

    w <- w / sigma,    sigma >= max_f sigma_1(W(f)),

with W(f) the matrices of the circular operator on the torus that holds the padded input: this
bounds the layer itself, with zero padding and any stride. sigma is either exact (``svd``, Sedghi,
Gupta, Long 2019) or the upper bound of six Gram iterations (Delattre et al. 2023), within a few
per mille, without state, differentiable and cheap.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from robench.base import ConvDefense, Kind
from robench.layers.adopt import adopt
from robench.layers.circular import Size, gram_bound, laid_out, repeats_pixels, symbol
from robench.layers.weight_cache import WeightCache
from robench.registry import register_defense

Norm = Literal["gram", "svd"]


class ConvSN2d(nn.Conv2d):
    """A convolution of norm 1; takes the arguments of ``nn.Conv2d`` and ``norm``."""

    def __init__(self, *args: Any, norm: Norm = "gram", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm = norm
        self._kept: WeightCache[Tensor] = WeightCache()

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in, H, W), or (in, H, W), as the convolution does."""
        weight = self.weight / self.sigma((input.shape[-2], input.shape[-1])).to(self.weight.dtype)
        return self._conv_forward(input, weight, self.bias)

    def sigma(self, size: Size) -> Tensor:
        """Return the norm that the kernel is divided by for inputs of ``size``, a scalar."""

        def make() -> Tensor:
            with torch.autocast(self.weight.device.type, enabled=False):
                weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
                kernel, stride = laid_out(self, weight, size)
                matrices = symbol(kernel, stride, self.groups)
                if self.norm == "gram":
                    return gram_bound(matrices).clamp_min(1e-30)
                return torch.linalg.matrix_norm(matrices, ord=2).amax().clamp_min(1e-30)

        return self._kept.get(make, (self.weight,), size, self.norm)

    def circular_operator(self, size: Size) -> tuple[Tensor, Size]:
        """Return the divided kernel on a torus, and the stride."""
        return laid_out(self, self.weight / self.sigma(size), size)


@register_defense("conv_sn", reference="arXiv:1805.10408, arXiv:2305.16173")
@dataclass(frozen=True)
class ConvSN(ConvDefense):
    """Kernels divided by the norm of their convolution.

    Attributes:
        norm: ``gram`` for the bound by Gram iteration, ``svd`` for the exact norm.
    """

    kind: ClassVar[Kind] = "convolution"
    strict_lipschitz: ClassVar[bool] = True

    norm: Norm = "gram"

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse paddings that repeat pixels."""
        return repeats_pixels(conv) or super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Divide it by its norm."""
        return adopt(ConvSN2d, conv, norm=self.norm)
