"""A model, to who trains it and to who attacks it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import Tensor

LogitsModel = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""

Stem = Literal["cifar", "half", "imagenet"]
"""A backbone's first layer: 3x3 stride 1; 3x3 stride 2; 7x7 stride 2 and max-pool."""


class VictimModel(ABC):
    """The model under attack, as the evaluator hands it to attacks.

    Called like any model it returns exact logits, differentiable where a gradient is wanted.
    Attacks reach the rest through :mod:`robench.attack_tools`, which takes bare callables too
    (:func:`robench.attack_tools.victims.as_victim`).

    Attributes:
        batch_size: how many samples to hand over at a time, halved where memory runs out;
            None: all of them.
    """

    batch_size: int | None = None

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """How many logits there are per image."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Return exact logits, (B, C, H, W) -> (B, classes)."""

    @abstractmethod
    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits whose largest is that of the model; without gradient."""

    @abstractmethod
    def for_gradients(self, images: Tensor) -> Tensor:
        """Return logits whose gradient an attack follows; faster, not exact."""

    @abstractmethod
    def report(self, finished: int) -> None:
        """Take note of how many samples of the attack under way are finished."""
