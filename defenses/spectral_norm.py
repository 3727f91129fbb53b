"""Spectral normalization (Miyato, Kataoka, Koyama, Yoshida 2018).

    w <- w / sigma(W),    W = reshape(w, out, in * kh * kw),

with sigma the largest singular value of the flattened kernel, estimated by power iteration: one
iteration per training forward, none in evaluation. This bounds the norm of the convolution by
sqrt(kh * kw) at stride 1, not by 1: the operator norm of a convolution is not that of W.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.nn.utils import parametrizations

from robench import ConvDefense, UserError, register_defense
from robench.base import DIFFERENTIABLE


@register_defense("spectral_norm", reference="arXiv:1802.05957")
@dataclass(frozen=True)
class SpectralNorm(ConvDefense):
    """Kernels divided by the largest singular value of their matrix.

    Attributes:
        n_power_iterations: iterations per training forward.
    """

    stateful_in_training: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    n_power_iterations: int = 1

    def __post_init__(self) -> None:
        if self.n_power_iterations < 1:
            raise UserError(
                f"n_power_iterations is {self.n_power_iterations}: it must be 1 or more."
            )

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Refuse a kernel of zeros, which has no singular vectors: its weights would be NaN."""
        if not conv.weight.is_meta and not conv.weight.detach().norm():
            return "its kernel is zero; initialize it first"
        return super().unsupported(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Parametrize the weight with torch's spectral norm."""
        return parametrizations.spectral_norm(conv, n_power_iterations=self.n_power_iterations)
