"""A median filter as one would take it from a library of image processing: without a gradient."""

from torch import Tensor, nn
from torch.nn import functional

from zoo.adaptive import Search, bpda, one_after_another
from zoo.entry import Entry
from zoo.parts import Defended, flat


def median(images: Tensor) -> Tensor:
    windows = functional.pad(images, (1, 1, 1, 1), mode="reflect").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(4).median(4).values


def filtered(images: Tensor) -> Tensor:
    return flat(median(images), images)


def differentiable(model: nn.Module) -> nn.Module:
    return Defended(before=median, inside=model.get_submodule("network"))


def build() -> nn.Module:
    return Defended(before=filtered)


ENTRY = Entry(
    build,
    "The filter is computed outside of autograd, so that the gradient is zero.",
    causes=("zero_gradients",),
    adaptive=one_after_another(Search(differentiable), bpda()),
)
