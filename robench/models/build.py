"""Building a registered backbone with a defense and built-in image normalization."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import get_args

import torch
from torch import Tensor, nn

from robench.base import Defense, Stem
from robench.errors import UserError, did_you_mean
from robench.models.accept import check_weights
from robench.models.build_arguments import per_channel, size_of, whole
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
        UserError: for an unknown name or option, a backbone that is not a network of logits, a
            layer that the defense cannot replace, or images that the network does not support.
    """
    backbones.lookup(backbone)
    width = whole("width", width, 1, "channel")
    num_classes = whole("num_classes", num_classes, 1, "class")
    in_channels = whole("in_channels", in_channels, 1, "channel")
    image_size = size_of(image_size)
    mean, std = (per_channel(n, v, in_channels) for n, v in (("mean", mean), ("std", std)))
    if stem not in get_args(Stem):
        valid = did_you_mean(stem, get_args(Stem))
        raise UserError(f"{backbone} has no stem '{stem}'; {valid}")
    plain = backbones.build(backbone, given=(num_classes, in_channels, width, stem))
    if not isinstance(plain, nn.Module):
        raise UserError(
            f"{backbone} is a {type(plain).__name__}: its function must return a torch.nn.Module; "
            f"a 'return' may be missing."
        )
    model = _normalized(apply_defense(plain, defense), mean, std)
    _check_weights(model, backbone)
    images = torch.zeros(1, in_channels, *image_size)
    try:
        returned = _tried(model, images)
    except RuntimeError as error:
        if _takes(_normalized(plain, mean, std), images):
            raise UserError(_fault_of_defense(backbone, defense, images, error)) from error
        raise UserError(_fault_of_backbone(backbone, model, images, error)) from error
    _check_output(returned, backbone, images, num_classes)
    return model.train()


def _check_weights(model: nn.Module, backbone: str) -> None:
    try:
        check_weights(model)
    except UserError as error:
        raise UserError(f"{backbone}: {error}") from None


def _normalized(net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    return nn.Sequential(OrderedDict(normalize=Normalize(mean, std), net=net)).eval()


def _tried(model: nn.Module, images: Tensor) -> object:
    """Return what ``model`` returns for images; it is unchanged."""
    with torch.no_grad():
        return model(images)


def _takes(model: nn.Module, images: Tensor) -> bool:
    with suppress(RuntimeError):
        _tried(model, images)
        return True
    return False


def _fault_of_backbone(backbone: str, model: nn.Module, images: Tensor, error: RuntimeError) -> str:
    """Return the sentence about images that a network does not take, with a size that it does."""
    squares = (images.new_zeros(*images.shape[:2], side, side) for side in SIDES)
    fits = next((_size(square) for square in squares if _takes(model, square)), None)
    hint = f"; it takes {fits}" if fits else ""
    return f"{backbone} cannot take images of {_size(images)} pixels ({_reason(error)}){hint}."


def _fault_of_defense(
    backbone: str, defense: str | Defense, images: Tensor, error: RuntimeError
) -> str:
    name = defense if isinstance(defense, str) else type(defense).__name__
    where = f"images of {_size(images)} pixels ({_reason(error)})"
    return f"with the defense '{name}', {backbone} fails on {where}."


def _reason(error: RuntimeError) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")


def _check_output(returned: object, backbone: str, images: Tensor, num_classes: int) -> None:
    """Check that what a network returned for one image is logits.

    Raises:
        UserError: if it is something else, or another number of them.
    """
    if not isinstance(returned, Tensor):
        what = f"a {type(returned).__name__}"
    elif returned.shape != (1, num_classes):
        what = f"the shape {tuple(returned.shape)}"
    else:
        return
    raise UserError(
        f"{backbone} returns {what} for an image of {_size(images)} pixels; it must return logits "
        f"(N, {num_classes}), one for each class."
    )


def _size(images: Tensor) -> str:
    return "x".join(map(str, images.shape[2:]))
