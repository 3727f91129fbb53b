"""A guard against wrong gradients of torch's bf16 convolutions on the CPU.

If the stride of a kernel of several pixels is longer than a side of its map, the gradient of its
weight may contain uninitialized memory: stride 2 on a map of 1x1 or 8x1, or stride 3 on 2x2 (found
with torch 2.14.1, in a fifth of such cases with a bias or one channel per group, in none of 5,006
with shorter strides; float32 is correct). Training would be neither correct nor reproducible, and
would often end in NaN.
"""

from typing import Any

import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.models.frozen import frozen_stats, under_attack


def refuse_wide_strides(model: nn.Module, images: Tensor) -> None:
    """Run ``model`` once and refuse it if a convolution strides by more than a side of its map.

    Args:
        model: the network to train; it is left unchanged.
        images: (B, C, H, W), of the size that it will be trained on.

    Raises:
        UserError: if there is such a convolution; the message names the layer.
    """

    def check(name: str, conv: nn.Conv2d, inputs: tuple[Any, ...]) -> None:
        height, width = inputs[0].shape[-2:]
        wide = conv.stride[0] > height or conv.stride[1] > width
        if wide and max(conv.kernel_size) > 1:
            raise UserError(
                f"layer '{name}' strides by {conv.stride[0]}x{conv.stride[1]} over a map of "
                f"{height}x{width} pixels, for which bf16 on the CPU computes wrong gradients; set "
                f"precision = 'float32', or keep the map larger with stem = 'cifar'."
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
