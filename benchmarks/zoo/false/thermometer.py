"""Thermometer code (Buckman et al. 2018): each pixel becomes the thresholds that it exceeds."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search
from zoo.entry import Entry
from zoo.parts import fit, flat, small_network
from zoo.trained import kept

LEVELS = 10


class Thermometer(nn.Module):
    """(N, 1, H, W) -> (N, LEVELS, H, W).

    Args:
        softness: the width of the thresholds; 0 is the code itself, which has no gradient.
    """

    def __init__(self, softness: float = 0.0) -> None:
        super().__init__()
        self.softness = softness

    def forward(self, images: Tensor) -> Tensor:
        thresholds = (torch.arange(LEVELS, device=images.device) + 0.5) / LEVELS
        above = images - thresholds.reshape(-1, 1, 1)
        if self.softness:
            return (above / self.softness).sigmoid()
        return flat((above > 0).float(), images)


def untrained() -> nn.Module:
    return nn.Sequential(Thermometer(), small_network(channels=LEVELS))


def build() -> nn.Module:
    return kept("false_thermometer", untrained, fit, epochs=5)


def soft(model: nn.Module) -> nn.Module:
    """Return a copy whose thresholds are soft, with gradients."""
    return nn.Sequential(Thermometer(0.05), model.get_submodule("1"))


ENTRY = Entry(
    build,
    "A threshold has a gradient of zero.",
    causes=("zero_gradients",),
    adaptive=Search(soft, restarts=4),
)
