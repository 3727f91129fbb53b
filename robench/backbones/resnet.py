"""torchvision's ResNets (He et al. 2016), scaled to any width and input."""

from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from robench import Stem, register_backbone


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
        if planes == 64:  # the first stage: its input has the width of the stem
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
