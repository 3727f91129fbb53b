"""Building a registered backbone with a defense and built-in image normalization."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from robench.base import Defense, Stem
from robench.errors import UserError, did_you_mean
from robench.models.defend import apply_defense
from robench.registry import backbones

__all__ = ["Normalize", "apply_defense", "build_model"]

SIDES = (8, 16, 32, 64, 128, 224)
"""Image sizes to try for the hint if a network does not support the given one."""


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel.

    This is part of the model, so that attacks measure perturbations on images in [0, 1].

    Args:
        mean: mean of each channel.
        std: standard deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalize images (B, C, H, W)."""
        return (images - self.mean) / self.std


# More parameters than usual: they are the keywords of torchvision's and timm's builders.
def build_model(
    backbone: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    width: int = 64,
    stem: str = "cifar",
    defense: str | Defense = "batchnorm",
) -> nn.Module:
    """Build a network with a defense: images in [0, 1] (B, C, H, W) -> logits (B, classes).

    Weights are drawn from torch's global random generator.

    Args:
        backbone: a registered name, with the options of the backbone if it has any:
            ``"my_net(blocks=3)"``.
        num_classes: number of logits.
        in_channels: C.
        image_size: H and W, checked with one forward of zeros.
        mean: mean of each channel, which the model subtracts.
        std: standard deviation of each channel, by which the model divides.
        width: channels of the first stage; 64 is the standard network.
        stem: the first layer, see :data:`robench.Stem`.
        defense: see :func:`apply_defense`.

    Raises:
        UserError: for an unknown name or option, a layer that the defense cannot replace, or
            images that the network does not support.
    """
    backbones.lookup(backbone)
    if width < 1:
        raise UserError(f"{backbone}: width is {width}; give 1 channel or more (64 is standard).")
    if stem not in get_args(Stem):
        valid = did_you_mean(stem, get_args(Stem))
        raise UserError(f"{backbone} has no stem '{stem}'; {valid}")
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, in_channels):
            raise UserError(
                f"{name} has {len(values)} values but images have {in_channels} channels; "
                f"give one per channel."
            )
    plain = backbones.build(backbone, given=(num_classes, in_channels, width, stem))
    defended = apply_defense(plain, defense)
    model = nn.Sequential(OrderedDict(normalize=Normalize(mean, std), net=defended)).eval()
    if reason := _refusal(model, in_channels, image_size):
        fits = [side for side in SIDES if not _refusal(model, in_channels, (side, side))]
        hint = f"; it takes {fits[0]}x{fits[0]}" if fits else ""
        size = "x".join(map(str, image_size))
        raise UserError(f"{backbone} cannot take images of {size} pixels ({reason}){hint}.")
    return model.train()


def _refusal(model: nn.Module, in_channels: int, size: tuple[int, int]) -> str | None:
    """Return why ``model`` does not support images of ``size``, or None; the model is unchanged."""
    try:
        with torch.no_grad():
            model(torch.zeros(1, in_channels, *size))
    except RuntimeError as error:
        return str(error).split("\n", 1)[0].rstrip(".")
    return None
