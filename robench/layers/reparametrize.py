"""Weight parametrizations: a map of kernels or of matrices, registered on a convolution.

The map runs in float32 or higher precision regardless of ``torch.autocast``, since orthogonality
does not survive the eight bits of bf16; its result has the dtype of the stored weight.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
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

    def _around(self, function: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            full = weight.to(torch.promote_types(weight.dtype, torch.float32))
            value = matrices(full, self.groups) if self.groups else full
            changed = _applied(function, value)
            return changed.reshape(weight.shape).to(weight.dtype)


def _applied(function: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """Return ``function(value)``; what a map keeps has the precision of the value, too."""
    if not isinstance(function, nn.Module):
        return function(value)
    kept = [*function.named_parameters(), *function.named_buffers()]
    low = {
        name: tensor.to(value.dtype)
        for name, tensor in kept
        if tensor.is_floating_point() and tensor.dtype != value.dtype
    }
    result: Tensor = functional_call(function, low, value) if low else function(value)
    return result
