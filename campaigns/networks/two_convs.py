"""A backbone of two convolutions, which trains in a second."""

from torch import nn

from robench import Stem, register_backbone


@register_backbone("two_convs")
def two_convs(
    num_classes: int, in_channels: int = 3, width: int = 64, stem: Stem = "cifar"
) -> nn.Module:
    """Two convolutions with batch norm, and a linear layer; other stems have larger filters."""
    size = 3 if stem == "cifar" else 5
    return nn.Sequential(
        nn.Conv2d(in_channels, width, size, stride=2, padding=size // 2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, num_classes),
    )
