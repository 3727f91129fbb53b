"""Steps of denoising before the network, whose gradient is cut off."""

import torch
from torch import Tensor, nn

from zoo.adaptive import bpda
from zoo.entry import Entry
from zoo.parts import Defended, flat


def total_variation(images: Tensor) -> Tensor:
    across, down = images.diff(dim=3), images.diff(dim=2)
    return (across**2 + 1e-3).sqrt().sum() + (down**2 + 1e-3).sqrt().sum()


def purified(images: Tensor) -> Tensor:
    clean = images.detach()
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(10):
            now = clean.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(total_variation(now), now)
            clean = (clean - 0.01 * gradient).clamp(0, 1)
    return flat(clean, images)


def build() -> nn.Module:
    return Defended(before=purified)


ENTRY = Entry(
    build,
    "Ten steps of denoising are made with autograd inside of the forward, and detached.",
    causes=("zero_gradients", "zero_gradient", "autograd_in_forward"),
    adaptive=bpda(),
)
