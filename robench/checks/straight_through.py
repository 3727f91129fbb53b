"""Gradients through operations that have none: backward pass differentiable approximation.

Athalye, Carlini and Wagner 2018 replace an operation that has no useful gradient by one that is
close to it, in the backward pass only. Here this is done for whatever a network calls, without
knowing the network.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_STEPS = {
    getattr(where, name)
    for name in ("round", "floor", "ceil", "trunc", "fix")
    for where in (torch, Tensor)
}
_CASTS = {Tensor.to, Tensor.type, Tensor.int, Tensor.long, Tensor.byte, Tensor.bool, Tensor.short}
_CUTS = {Tensor.detach, torch.detach, Tensor.detach_}
_RISING = {torch.gt, torch.ge, Tensor.gt, Tensor.ge, Tensor.__gt__, Tensor.__ge__}
_FALLING = {torch.lt, torch.le, Tensor.lt, Tensor.le, Tensor.__lt__, Tensor.__le__}
_SIGNS = {torch.sign, Tensor.sign}
_CHOICES = {torch.where, Tensor.where}


class StraightThrough(TorchFunctionMode):
    """A context in which rounding, detaching and comparing pass on a gradient.

    Values are the network's own. In the backward pass, rounding and detaching are the identity, and
    signs and comparisons are steep sigmoids. Blocks without gradient are entered with gradient.

    Args:
        width: how wide a comparison's sigmoid is, in units of what is compared; None leaves
            comparisons and casts to integers as they are, for a network that indexes with them.
    """

    def __init__(self, width: float | None) -> None:
        super().__init__()
        self.width = width

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call ``func`` with gradient, and give its result one where it has none."""
        options = dict(kwargs or {})
        with torch.enable_grad():
            if func in _CUTS:
                return args[0]
            if self.width is not None:
                if func in _RISING | _FALLING and len(args) == 2:
                    return _compared(func, args[0], args[1], self.width)
                if func in _CHOICES and len(args) == 3 and args[0].is_floating_point():
                    return torch.where(args[0] > 0.5, *args[1:])
                if func in _SIGNS:
                    return _with_gradient_of(func(args[0]), torch.tanh(args[0] / self.width))
            result = func(*args, **options)
            cast = self.width is not None and func in _CASTS and args[0].is_floating_point()
            if cast and not result.is_floating_point():
                return _with_gradient_of(result.to(args[0].dtype), args[0])
            return _with_gradient_of(result, args[0]) if func in _STEPS else result


def _compared(func: Callable[..., Any], one: Any, other: Any, width: float) -> Any:
    result = func(one, other)
    difference = one - other if func in _RISING else other - one
    if not (isinstance(difference, Tensor) and difference.is_floating_point()):
        return result
    return _with_gradient_of(result.to(difference.dtype), torch.sigmoid(difference / width))


def _with_gradient_of(value: Tensor, smooth: Any) -> Tensor:
    """Return ``value``, exactly, with the gradient of ``smooth``."""
    return _Substitute.apply(value, smooth) if isinstance(smooth, Tensor) else value


class _Substitute(torch.autograd.Function):
    """The first argument forwards, the second backwards."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, smooth: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]
