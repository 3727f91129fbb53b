"""A guard against wrong gradients of torch's bf16 convolutions on the CPU.

If a kernel of 3 or more pixels strides over a map of a single pixel, the gradient of its weight
contains uninitialized memory (found with torch 2.14.1 on AMX: kernels 3, 5 and 7 of stride 2, any
channels; larger maps, stride 1 and float32 are correct). Training would be neither correct nor
reproducible, and would often end in NaN.
"""

from typing import Any

import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.models.frozen import frozen_stats, under_attack


def refuse_one_pixel_strides(model: nn.Module, images: Tensor) -> None:
    """Run ``model`` once and refuse it if a convolution strides over a map of one pixel.

    Args:
        model: the network to train; it is left unchanged.
        images: (B, C, H, W), of the size that it will be trained on.

    Raises:
        UserError: if there is such a convolution; the message names the layer.
    """

    def check(name: str, conv: nn.Conv2d, inputs: tuple[Any, ...]) -> None:
        if max(conv.stride) > 1 and max(conv.kernel_size) > 1 and inputs[0].shape[-2:] == (1, 1):
            raise UserError(
                f"layer '{name}' strides over a map of one pixel, for which bf16 on the CPU "
                f"computes wrong gradients; set precision = 'float32', or keep the map larger "
                f"with stem = 'cifar'."
            )

    hooks = [
        module.register_forward_pre_hook(lambda m, x, name=name: check(name, m, x))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        with frozen_stats(model), under_attack(model), torch.no_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
