"""Parts of false models: a defense around a network, and gradients that are not the function's."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from robench import Images, build_model, load_dataset, train
from zoo.trained import COMMON, network

Transform = Callable[[Tensor], Tensor]


class Defended(nn.Module):
    """A network with a transform of its images before it, or of its logits after it.

    Args:
        before: (N, C, H, W) in [0, 1] -> the same shape.
        after: (N, classes) -> the same shape.
        inside: the network; the one that standard training gives by default.
    """

    def __init__(
        self,
        *,
        before: Transform | None = None,
        after: Transform | None = None,
        inside: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network("standard") if inside is None else inside
        self.before, self.after = before, after
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if self.before is not None:
            images = self.before(images)
        logits = self.network(images)
        return logits if self.after is None else self.after(logits)


class _GradientOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, value: Tensor, surrogate: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """Return ``value``, to the bit, with the gradient of a surrogate of the same shape."""
    return _GradientOf.apply(value.detach(), surrogate)


def flat(value: Tensor, like: Tensor) -> Tensor:
    """Return ``value`` (N, ...) with a gradient of zero with respect to ``like`` (N, ...)."""
    zero = 0 * like.flatten(1).sum(1)
    return value.detach() + zero.reshape(-1, *[1] * (value.ndim - 1))


def small_network(channels: int = 1) -> nn.Module:
    """Return an untrained network like those of :mod:`zoo.trained`, for images of 28x28 pixels."""
    return build_model(
        "resnet18",
        num_classes=10,
        in_channels=channels,
        image_size=(28, 28),
        mean=(0.13,) * channels,
        std=(0.31,) * channels,
        width=COMMON["width"],
        stem="half",
    )


def fit(model: nn.Module, *, epochs: int) -> nn.Module:
    """Return a copy after standard training on mnist5k, for :func:`zoo.trained.kept`."""
    recipe = {name: COMMON[name] for name in ("lr", "eps", "step_size", "schedule")}
    return train("batchnorm", "mnist5k", model=model, method="standard", epochs=epochs, **recipe)


def training_images() -> Images:
    """Return the training images of mnist5k."""
    train = load_dataset("mnist5k").train
    assert isinstance(train, Images)
    return train
