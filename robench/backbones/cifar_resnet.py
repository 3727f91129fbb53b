"""The ResNets of three stages that He et al. (2016, section 4.2) made for CIFAR: ResNet-8 to -56.

Each stage has a third of the layers, and twice the channels and half the side of the one before;
shortcuts have no weights: where a stage begins, every second pixel, with zeros for the channels
that are new (option A). With ``width = 16`` they are the paper's. Layers are called as in
Idelbayev's networks (github.com/akamaster/pytorch_resnet_cifar10), whose published weights load.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from robench import Stem, register_backbone


class Block(nn.Module):
    """Two convolutions, and a shortcut without weights."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU(inplace=True)
        self.stride = stride
        self.added = channels - before

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, before, H, W) to (B, channels, H / stride, W / stride), both rounded up."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(out + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and not self.added:
            return x
        left = self.added // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride],
                     (0, 0, 0, 0, left, self.added - left))  # fmt: skip


class CifarResNet(nn.Module):
    """A ResNet of three stages.

    Args:
        blocks: the number of blocks of each stage.
        num_classes: the number of logits.
        in_channels: channels of the images.
        width: channels of the first stage.
        stem: the first layer.
    """

    def __init__(
        self, blocks: int, num_classes: int, in_channels: int, width: int, stem: Stem
    ) -> None:
        super().__init__()
        kernel, stride = (7, 2) if stem == "imagenet" else (3, 2 if stem == "half" else 1)
        self.conv1 = nn.Conv2d(
            in_channels, width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else nn.Identity()
        self.layer1 = stage(blocks, width, width, 1)
        self.layer2 = stage(blocks, width, 2 * width, 2)
        self.layer3 = stage(blocks, 2 * width, 4 * width, 2)
        self.linear = nn.Linear(4 * width, num_classes)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, classes)."""
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def stage(blocks: int, before: int, channels: int, stride: int) -> nn.Sequential:
    """Return the blocks of a stage, of which the first has the stride."""
    first = Block(before, channels, stride)
    return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))


@register_backbone("resnet8", reference="arXiv:1512.03385")
def resnet8(
    num_classes: int, in_channels: int = 3, width: int = 16, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-8, the smallest of those made for CIFAR: 1-1-1 basic blocks."""
    return CifarResNet(1, num_classes, in_channels, width, stem)


@register_backbone("resnet20", reference="arXiv:1512.03385")
def resnet20(
    num_classes: int, in_channels: int = 3, width: int = 16, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-20, made for CIFAR: 3-3-3 basic blocks; the paper's width is 16."""
    return CifarResNet(3, num_classes, in_channels, width, stem)


@register_backbone("resnet32", reference="arXiv:1512.03385")
def resnet32(
    num_classes: int, in_channels: int = 3, width: int = 16, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-32, made for CIFAR: 5-5-5 basic blocks; the paper's width is 16."""
    return CifarResNet(5, num_classes, in_channels, width, stem)


@register_backbone("resnet56", reference="arXiv:1512.03385")
def resnet56(
    num_classes: int, in_channels: int = 3, width: int = 16, stem: Stem = "cifar"
) -> nn.Module:
    """ResNet-56, made for CIFAR: 9-9-9 basic blocks; the paper's width is 16."""
    return CifarResNet(9, num_classes, in_channels, width, stem)
