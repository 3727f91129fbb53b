"""torchvision's VGG-16 (Simonyan and Zisserman 2015), scaled to any width and input."""

from typing import Any

from torch import nn
from torchvision.models.vgg import VGG, make_layers

from robench import Stem, UserError, register_backbone

# fmt: off
VGG16: list[Any] = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M",
         512, 512, 512, "M", 512, 512, 512, "M"]
# fmt: on
"""Channels of the convolutions at width 64; "M" is a max-pool."""


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
