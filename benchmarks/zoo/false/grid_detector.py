"""A detector of perturbed images: real ones have 256 levels of gray."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, undefended
from zoo.entry import THREAT_MODEL, Entry
from zoo.trained import network


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.cautious = network("standard"), network("free")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        levels = 255 * images
        off = (levels - levels.round()).abs().flatten(1).amax(1, keepdim=True)
        return torch.where(off > 0.01, self.cautious(images), self.network(images))


def build() -> nn.Module:
    return Detector()


def to_levels(x: Tensor, images: Tensor) -> Tensor:
    reach = int(255 * THREAT_MODEL.eps)
    change = (255 * (x - images)).round().clamp(-reach, reach)
    return ((255 * images).round() + change).clamp(0, 255) / 255


ENTRY = Entry(
    build,
    "Images that are not of 256 levels of gray go to a robust network, all others do not.",
    causes=("wrong_gradient", "rough_logits", "black_box", "transfer"),
    adaptive=Search(undefended, repair=to_levels),
)
