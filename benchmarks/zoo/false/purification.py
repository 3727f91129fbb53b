"""Steps of denoising before the network, whose gradient is cut off."""

import torch
from torch import Tensor, nn

from zoo.adaptive import Search, bpda, one_after_another
from zoo.entry import Entry
from zoo.parts import Defended, flat


def total_variation(images: Tensor) -> Tensor:
    across, down = images.diff(dim=3), images.diff(dim=2)
    return (across**2 + 1e-3).sqrt().sum() + (down**2 + 1e-3).sqrt().sum()


def denoised(images: Tensor, *, unrolled: bool = False) -> Tensor:
    """Return the images after ten steps, through which gradients pass only if they are unrolled."""
    clean = images
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(10):
            now = clean if unrolled else clean.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(total_variation(now), now, create_graph=unrolled)
            clean = (now - 0.01 * gradient).clamp(0, 1)
    return clean


def purified(images: Tensor) -> Tensor:
    return flat(denoised(images), images)


def unrolled(model: nn.Module) -> nn.Module:
    """Return a copy that can be differentiated."""
    inside = model.get_submodule("network")
    return Defended(before=lambda images: denoised(images, unrolled=True), inside=inside)


def build() -> nn.Module:
    return Defended(before=purified)


ENTRY = Entry(
    build,
    "Ten steps of denoising are made with autograd inside of the forward, and detached.",
    causes=("zero_gradients", "autograd_in_forward"),
    adaptive=one_after_another(Search(unrolled), bpda()),
)
