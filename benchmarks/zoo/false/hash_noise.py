"""Noise that is a function of the image."""

import zlib

import torch
from torch import Tensor, nn

from zoo.adaptive import Search
from zoo.entry import Entry
from zoo.parts import Defended


def noise_of(image: Tensor) -> Tensor:
    seed = zlib.crc32(image.detach().cpu().numpy().tobytes())
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(image.shape, generator=rng).to(image.device)


def noisy(images: Tensor) -> Tensor:
    return images + 0.25 * torch.stack([noise_of(image) for image in images])


def build() -> nn.Module:
    return Defended(before=noisy)


def any_noise(model: nn.Module) -> nn.Module:
    """Return a copy with fresh noise, over which gradients can be averaged."""
    inside = model.get_submodule("network")
    return Defended(before=lambda x: x + 0.25 * torch.randn_like(x), inside=inside)


ENTRY = Entry(
    build,
    "A hash of the image seeds noise: two forwards agree, but one step further all is different.",
    causes=("rough_logits", "unstable_gradient"),
    adaptive=Search(any_noise, steps=40, restarts=2, draws=10, every=2),
)
