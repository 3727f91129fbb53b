"""A plain implementation of the paper's training: the peer of ``layers.py`` and ``training.py``.

ConvNorm with complex FFTs of every kernel and of the activations. Free training in float32 and
contiguous memory, on images that a DataLoader loads one by one with torchvision's transforms.
"""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from robench.base import ConvDefense, Kind
from robench.board.specs import TrainingSpec
from robench.data import Augmentation, Images


class PlainConvNorm2d(nn.Module):
    """A convolution divided by the root of its power spectrum, then a depthwise convolution."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        channels, k = conv.out_channels, conv.kernel_size[0]
        self.affine = nn.Conv2d(channels, channels, k, padding="same", groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        k, s, p = self.conv.kernel_size[0], self.conv.stride[0], int(self.conv.padding[0])
        y = F.conv2d(x, self.conv.weight, padding=k - 1)
        size = (y.shape[-2], y.shape[-1])
        with torch.autocast(x.device.type, enabled=False):
            kernels = torch.fft.rfft2(self.conv.weight.detach().float(), s=size)
            gain = kernels.abs().square().sum(1).clamp_min(1e-12).rsqrt()
            z = torch.fft.irfft2(torch.fft.rfft2(y.float()) * gain, s=size)
        first, beyond = k - 1 - p, [n - k + 1 + p for n in size]
        z = z[..., first : beyond[0] : s, first : beyond[1] : s]
        return self.affine(z.to(y.dtype))


@dataclass(frozen=True)
class PlainConvNorm(ConvDefense):
    """ConvNorm, implemented from its definition."""

    kind: ClassVar[Kind] = "convolution"

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        return PlainConvNorm2d(conv)


class _Pictures(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: Images, augmentation: Augmentation) -> None:
        pixels = images.images.permute(0, 2, 3, 1)
        self.pictures = [Image.fromarray(p.squeeze(-1).numpy()) for p in pixels]
        self.labels = images.labels.tolist()
        steps: list[Any] = []
        if augmentation.crop_padding:
            steps.append(v2.RandomCrop(images.images.shape[-1], augmentation.crop_padding))
        if augmentation.flip:
            steps.append(v2.RandomHorizontalFlip())
        steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        self.transform = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def train_plainly(
    model: nn.Module,
    recipe: TrainingSpec,
    images: Images,
    augmentation: Augmentation,
    device: torch.device,
    *,
    workers: int = 2,
) -> float:
    """Train for the recipe's epochs; return the seconds of the last epoch."""
    model.to(device).train()
    loader = DataLoader(
        _Pictures(images, augmentation), batch_size=recipe.batch_size, shuffle=True,
        num_workers=workers, persistent_workers=workers > 0,
    )  # fmt: skip
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )  # fmt: skip
    seconds = 0.0
    for _ in range(recipe.epochs):
        start, losses, right = time.perf_counter(), 0.0, 0
        for batch, target in loader:
            x, labels = batch.to(device), target.to(device)
            delta = torch.zeros_like(x)
            for _ in range(recipe.replays):
                delta.requires_grad_()
                logits = model((x + delta).clamp(0, 1))
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                assert delta.grad is not None
                moved = delta.detach() + recipe.step_size * delta.grad.sign()
                delta = moved.clamp(-recipe.eps, recipe.eps)
                optimizer.step()
                losses += loss.item()
                right += int((logits.argmax(1) == labels).sum().item())
        seconds = time.perf_counter() - start
    return seconds
