"""Weights computed from other weights: a map of kernels or of matrices, put on a convolution.

The map runs in float32 or better whatever ``torch.autocast`` says, since orthogonality does not
survive the eight bits of bf16, and its result has the dtype of the stored weight.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from robench.layers.weight_cache import WeightCache


def reparametrize(conv: nn.Conv2d, change: nn.Module, *, as_matrix: bool = False) -> nn.Conv2d:
    """Let ``conv`` use ``change(weight)``; the stored weight stays what is trained.

    Args:
        conv: changed in place and returned.
        change: maps a kernel (out, in / groups, kh, kw) to one of the same shape; where it has a
            method ``right_inverse``, that gives the stored weight to begin with.
        as_matrix: hand it the flattened kernel instead, one matrix a group,
            (groups, out / groups, in / groups * kh * kw).
    """
    wrapped = _Change(change, conv.groups if as_matrix else 0)
    # What the wrapper returns has the right shape: no need to compute it twice for a check.
    parametrize.register_parametrization(conv, "weight", wrapped, unsafe=True)
    return conv


def matrices(weight: Tensor, groups: int) -> Tensor:
    """Return the flattened kernel, (groups, out / groups, in / groups * kh * kw)."""
    return weight.reshape(groups, len(weight) // groups, -1)


class _Change(nn.Module):
    """Precision, shape and dtype around a map."""

    def __init__(self, change: nn.Module, groups: int) -> None:
        super().__init__()
        self.change = change
        self.groups = groups
        self._kept: WeightCache[Tensor] = WeightCache()

    def forward(self, weight: Tensor) -> Tensor:
        sources = (weight, *self.change.parameters(), *self.change.buffers())
        return self._kept.get(lambda: self._around(self.change, weight), sources)

    def right_inverse(self, weight: Tensor) -> Tensor:
        inverse = getattr(self.change, "right_inverse", None)
        return weight if inverse is None else self._around(inverse, weight)

    def _around(self, function: object, weight: Tensor) -> Tensor:
        assert callable(function)
        with torch.autocast(weight.device.type, enabled=False):
            full = weight.to(torch.promote_types(weight.dtype, torch.float32))
            value = matrices(full, self.groups) if self.groups else full
            changed: Tensor = function(value)
            return changed.reshape(weight.shape).to(weight.dtype)
