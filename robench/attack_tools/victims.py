"""Adapt any callable to the interface of a model under attack."""

import torch
from torch import Tensor

from robench.base import LogitsModel, VictimModel


class BareModel(VictimModel):
    """A plain callable as a model under attack, without a fast copy or a batch size.

    It gets copies of the images: a forward may normalize in place, which neither the points of an
    attack nor the leaves of its gradients survive.

    Args:
        model: images in [0, 1] -> logits.
    """

    def __init__(self, model: LogitsModel) -> None:
        self._model = model

    @property
    def num_classes(self) -> int:
        """Unknown before the model is called.

        Raises:
            TypeError: always; see :func:`class_count`.
        """
        raise TypeError("a bare model does not declare its number of classes; use class_count()")

    def __call__(self, images: Tensor) -> Tensor:
        """Return its logits."""
        return self._model(images.clone())

    def predict(self, images: Tensor) -> Tensor:
        """Return its logits as float32, without gradient."""
        with torch.no_grad():
            return self._model(images.clone()).float()

    def for_gradients(self, images: Tensor) -> Tensor:
        """Return its logits."""
        return self._model(images.clone())

    def report(self, finished: int) -> None:
        """Do nothing: a bare model reports no progress."""


def as_victim(model: LogitsModel) -> VictimModel:
    """Return ``model`` itself if it is a model under attack, else an adapter around it."""
    return model if isinstance(model, VictimModel) else BareModel(model)


def class_count(model: LogitsModel, images: Tensor) -> int:
    """Return how many classes a model distinguishes.

    Args:
        model: images in [0, 1] -> logits.
        images: (B, C, H, W); a bare model is called with the first of them.
    """
    if isinstance(model, VictimModel):
        return model.num_classes
    return as_victim(model).predict(images[:1]).shape[1]
