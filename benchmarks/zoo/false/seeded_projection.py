"""A random subspace of the pixels that a hash of the image chooses."""

import zlib

import torch
from torch import Tensor, nn

from zoo.adaptive import Search
from zoo.entry import Entry
from zoo.parts import Defended, fit, small_network
from zoo.trained import kept


def seen(image: Tensor, seed: int) -> Tensor:
    """Return the image with half of its pixels, moved by up to two pixels."""
    rng = torch.Generator().manual_seed(seed)
    mask = 2 * torch.rand(image.shape, generator=rng).round().to(image.device)
    down, right = torch.randint(-2, 3, (2,), generator=rng).tolist()
    return (mask * image).roll((down, right), (1, 2))


def projected(images: Tensor) -> Tensor:
    seeds = [zlib.crc32(image.detach().cpu().numpy().tobytes()) for image in images]
    return torch.stack([seen(*pair) for pair in zip(images, seeds, strict=True)])


def untrained() -> nn.Module:
    return Defended(before=projected, inside=small_network())


def build() -> nn.Module:
    return kept("false_seeded_projection", untrained, fit, epochs=5)


def any_projection(model: nn.Module) -> nn.Module:
    """Return a copy with fresh projections, over which gradients can be averaged."""

    def before(images: Tensor) -> Tensor:
        seeds = torch.randint(2**31, (len(images),)).tolist()
        return torch.stack([seen(*pair) for pair in zip(images, seeds, strict=True)])

    return Defended(before=before, inside=model.get_submodule("network"))


ENTRY = Entry(
    build,
    "A hash of the image chooses the pixels that are seen, others after each step of an attack.",
    causes=("rough_logits", "unstable_gradient"),
    adaptive=Search(any_projection, steps=40, restarts=2, draws=10, every=2),
)
