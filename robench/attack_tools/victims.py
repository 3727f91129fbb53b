"""Any callable as a model under attack."""

import torch
from torch import Tensor

from robench.base import LogitsModel, VictimModel


class BareModel(VictimModel):
    """A callable that lends no fast copy and knows no batch size.

    Args:
        model: images in [0, 1] -> logits.
    """

    def __init__(self, model: LogitsModel) -> None:
        self._model = model

    @property
    def num_classes(self) -> int:
        """Not known before it is asked about an image.

        Raises:
            TypeError: always; see :func:`class_count`.
        """
        raise TypeError("a bare model does not say how many classes it has; ask it about an image")

    def __call__(self, images: Tensor) -> Tensor:
        """Return its logits."""
        return self._model(images)

    def predict(self, images: Tensor) -> Tensor:
        """Return its logits as float32, without gradient."""
        with torch.no_grad():
            return self._model(images).float()

    def for_gradients(self, images: Tensor) -> Tensor:
        """Return its logits."""
        return self._model(images)

    def report(self, finished: int) -> None:
        """Report nothing: nobody asked."""


def as_victim(model: LogitsModel) -> VictimModel:
    """Return ``model`` if it is a model under attack already, else an adapter around it."""
    return model if isinstance(model, VictimModel) else BareModel(model)


def class_count(model: LogitsModel, images: Tensor) -> int:
    """Return how many classes a model distinguishes.

    Args:
        model: images in [0, 1] -> logits.
        images: (B, C, H, W); a model that does not say it is asked about the first of them.
    """
    if isinstance(model, VictimModel):
        return model.num_classes
    return as_victim(model).predict(images[:1]).shape[1]
