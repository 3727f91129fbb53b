"""Backbones from torchvision, scaled to any width, with the normalisation inside."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

from robench.base import Defense
from robench.errors import UserError, did_you_mean
from robench.models.defend import apply_defense
from robench.registry import backbones, register_backbone

__all__ = ["Normalize", "apply_defense", "build_model"]

Stem = Literal["cifar", "half", "imagenet"]
"""First layer: 3x3 stride 1; 3x3 stride 2; 7x7 stride 2 and max-pool."""

SIDES = (8, 16, 32, 64, 128, 224)
"""Image sizes tried for the hint, where a network does not take the one that it was given."""

# fmt: off
VGG16: list[Any] = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M",
         512, 512, 512, "M", 512, 512, 512, "M"]
# fmt: on


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel.

    Inside the model, so that attacks measure their perturbations on images in [0, 1].

    Args:
        mean: of each channel.
        std: of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (B, C, H, W)."""
        return (images - self.mean) / self.std


class ScaledResNet(ResNet):
    """torchvision's ResNet with another number of channels and another first layer."""

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: list[int],
        num_classes: int,
        in_channels: int,
        width: int,
        stem: Stem,
    ) -> None:
        self.width = width
        super().__init__(block, layers)
        kernel, stride = (7, 2) if stem == "imagenet" else (3, 2 if stem == "half" else 1)
        self.conv1 = nn.Conv2d(
            in_channels, width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = nn.BatchNorm2d(width)
        if stem != "imagenet":
            self.maxpool = nn.Identity()
        self.fc = nn.Linear(8 * width * block.expansion, num_classes)

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        if planes == 64:  # the first stage: what comes in is the stem's width
            self.inplanes = self.width
        layer: nn.Sequential = super()._make_layer(
            block, planes * self.width // 64, *args, **kwargs
        )
        return layer


@register_backbone("resnet18", reference="arXiv:1512.03385")
def resnet18(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-18: 2-2-2-2 basic blocks."""
    return ScaledResNet(BasicBlock, [2, 2, 2, 2], num_classes, in_channels, width, stem)


@register_backbone("resnet34", reference="arXiv:1512.03385")
def resnet34(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-34: 3-4-6-3 basic blocks."""
    return ScaledResNet(BasicBlock, [3, 4, 6, 3], num_classes, in_channels, width, stem)


@register_backbone("resnet50", reference="arXiv:1512.03385")
def resnet50(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-50: 3-4-6-3 bottleneck blocks."""
    return ScaledResNet(Bottleneck, [3, 4, 6, 3], num_classes, in_channels, width, stem)


@register_backbone("resnet101", reference="arXiv:1512.03385")
def resnet101(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-101: 3-4-23-3 bottleneck blocks."""
    return ScaledResNet(Bottleneck, [3, 4, 23, 3], num_classes, in_channels, width, stem)


@register_backbone("resnet152", reference="arXiv:1512.03385")
def resnet152(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-152: 3-8-36-3 bottleneck blocks."""
    return ScaledResNet(Bottleneck, [3, 8, 36, 3], num_classes, in_channels, width, stem)


@register_backbone("vgg16", reference="arXiv:1409.1556")
def vgg16(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """VGG-16: its 13 convolutions, an average pool and one linear layer."""
    if stem == "half":
        raise UserError("vgg16 has no stem 'half': its first layer keeps the size; use 'cifar'.")
    channels = [c if isinstance(c, str) else c * width // 64 for c in VGG16]
    network = VGG(make_layers(channels, batch_norm=True))
    first = network.features[0]
    if in_channels != first.in_channels:
        network.features[0] = nn.Conv2d(in_channels, width, 3, padding=1)
        nn.init.kaiming_normal_(network.features[0].weight, mode="fan_out", nonlinearity="relu")
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Linear(8 * width, num_classes)
    return network


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
    """Return a network with a defense: images in [0, 1] (B, C, H, W) -> logits (B, classes).

    Weights are drawn from torch's global generator.

    Args:
        backbone: a registered name.
        num_classes: number of logits.
        in_channels: C.
        image_size: H and W, checked by one forward of zeros.
        mean: of each channel, subtracted inside the model.
        std: of each channel, divided by inside the model.
        width: channels of the first stage; 64 is the standard network.
        stem: the first layer, see ``Stem``.
        defense: see :func:`apply_defense`.

    Raises:
        UserError: for an unknown name, a layer that the defense cannot replace, or images that
            the network cannot take.
    """
    entry = backbones.get(backbone)
    if width < 1:
        raise UserError(f"{backbone}: width is {width}; give 1 channel or more (64 is standard).")
    if stem not in get_args(Stem):
        valid = did_you_mean(stem, get_args(Stem))
        raise UserError(f"{backbone} has no stem '{stem}'; {valid}")
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, in_channels):
            raise UserError(
                f"{name} has {len(values)} values but images have {in_channels} channels; "
                f"give one a channel."
            )
    defended = apply_defense(entry.build(num_classes, in_channels, width, stem), defense)
    model = nn.Sequential(OrderedDict(normalize=Normalize(mean, std), net=defended)).eval()
    if reason := _refusal(model, in_channels, image_size):
        fits = [side for side in SIDES if not _refusal(model, in_channels, (side, side))]
        hint = f"; it takes {fits[0]}x{fits[0]}" if fits else ""
        size = "x".join(map(str, image_size))
        raise UserError(f"{backbone} cannot take images of {size} pixels ({reason}){hint}.")
    return model.train()


def _refusal(model: nn.Module, in_channels: int, size: tuple[int, int]) -> str | None:
    """Return why ``model`` cannot take images of ``size``, or None; zeros in, nothing changed."""
    try:
        with torch.no_grad():
            model(torch.zeros(1, in_channels, *size))
    except RuntimeError as error:
        return str(error).split("\n", 1)[0].rstrip(".")
    return None
