"""Features of a classifier that robench trained: the inputs of its last linear layer."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from robench.errors import UserError
from robench.gan.architectures import IMAGE
from robench.models.checkpoint import load_checkpoint


def classifier_features(path: Path, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return the function from images (N, 3, 32, 32) uint8 to features (N, d).

    Raises:
        UserError: if the classifier cannot be loaded, has no linear layer, or takes other images.
    """
    model, network, _ = load_checkpoint(path)
    if (network.in_channels, *network.image_size) != IMAGE:
        height, width = network.image_size
        raise UserError(
            f"{path} was trained on images of {height}x{width} with {network.in_channels} "
            f"channels; features of GANs need one for 32x32 images of 3 colors."
        )
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise UserError(f"{path} has no linear layer whose inputs could be its features.")
    model = model.to(device).to(memory_format=torch.channels_last)
    seen: list[Tensor] = []
    layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def features(images: Tensor) -> tuple[Tensor, ...]:
        seen.clear()
        model((images.float() / 255).contiguous(memory_format=torch.channels_last))
        return (seen[-1].flatten(1),)

    return features
