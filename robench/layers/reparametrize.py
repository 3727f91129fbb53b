"""Weight parametrizations: a map of kernels or of matrices, registered on a convolution.

The map runs in float32 or higher precision regardless of ``torch.autocast``, since orthogonality
does not survive the eight bits of bf16; its result has the dtype of the stored weight.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from robench.layers.weight_cache import WeightCache


def reparametrize(conv: nn.Conv2d, change: nn.Module, *, as_matrix: bool = False) -> nn.Conv2d:
    """Make ``conv`` use ``change(weight)``; the stored weight remains the trained parameter.

    Args:
        conv: the convolution, modified in place and returned.
        change: maps a kernel (out, in / groups, kh, kw) to one of the same shape; if it has a
            ``right_inverse`` method, that computes the initial stored weight.
        as_matrix: pass the flattened kernel to the map instead, one matrix per group,
            (groups, out / groups, in / groups * kh * kw).
    """
    wrapped = _Change(change, conv.groups if as_matrix else 0)
    # The wrapper returns the right shape, so torch need not compute the map again to check it.
    parametrize.register_parametrization(conv, "weight", wrapped, unsafe=True)
    return conv


def matrices(weight: Tensor, groups: int) -> Tensor:
    """Return the flattened kernel, (groups, out / groups, in / groups * kh * kw)."""
    return weight.reshape(groups, len(weight) // groups, -1)


class _Change(nn.Module):
    """Wrapper that handles precision, shape and dtype around a map."""

    def __init__(self, change: nn.Module, groups: int) -> None:
        super().__init__()
        self.change = change
        self.groups = groups
        self._cache: WeightCache[Tensor] = WeightCache()

    def forward(self, weight: Tensor) -> Tensor:
        sources = (weight, *self.change.parameters(), *self.change.buffers())
        return self._cache.get(lambda: self._around(self.change, weight), sources)

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
