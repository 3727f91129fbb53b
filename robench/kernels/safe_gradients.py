"""The weight gradients that torch gets wrong, for code that runs torch's own convolutions."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from robench.kernels.strided_pointwise import overruns, weight_gradient

_BACKWARD = torch.ops.aten.convolution_backward.default


class SafeGradients(TorchDispatchMode):
    """Computes weight gradients another way where torch writes beyond its memory.

    Within another mode, such as a counter of memory, that one sees the same operations as without:
    enter this one first. Training uses :func:`robench.kernels.fast_convs.fast_convolutions`, which
    costs nothing at other operations.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not _BACKWARD:
            return func(*args, **(kwargs or {}))
        gradient, x, weight, biases, stride, padding, dilation, transposed, *rest, mask = args
        plain = not transposed and rest[-1] == 1  # the number of groups
        if not (plain and any(mask[1:]) and overruns(x, weight, tuple(stride), tuple(padding))):
            return func(*args)
        geometry = (stride, padding, dilation, transposed, *rest)
        # oneDNN computes the gradient of the bias with that of the weight.
        dx = func(gradient, x, weight, biases, *geometry, [mask[0], False, False])[0]
        dbias = gradient.sum((0, 2, 3)) if mask[2] else None
        return dx, weight_gradient(gradient, x, tuple(stride)).to(weight.dtype), dbias
