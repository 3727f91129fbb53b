"""Interfaces of a model: in training, and under attack."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import Tensor

LogitsModel = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""

Stem = Literal["cifar", "half", "imagenet"]
"""A backbone's first layer: 3x3 stride 1; 3x3 stride 2; 7x7 stride 2 and max-pool."""


class VictimModel(ABC):
    """The model under attack, as the evaluator passes it to attacks.

    Called like any model, it returns exact logits, differentiable if a gradient is wanted. Attacks
    use its other methods through :mod:`robench.attack_tools`, which also accepts bare callables
    (:func:`robench.attack_tools.victims.as_victim`).

    Attributes:
        batch_size: how many samples to pass at a time, halved if memory runs out; None: all of
            them.
    """

    batch_size: int | None = None

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of logits per image."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Return exact logits, (B, C, H, W) -> (B, classes)."""

    @abstractmethod
    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits with the same argmax as the model's, without gradient."""

    @abstractmethod
    def for_gradients(self, images: Tensor) -> Tensor:
        """Return logits whose gradient an attack follows; faster, but not exact."""

    @abstractmethod
    def report(self, finished: int) -> None:
        """Report how many samples of the running attack are finished."""
