"""Interfaces of a model: in training, and under attack."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

if TYPE_CHECKING:
    from robench.base.defense import Defense

LogitsModel = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""

Stem = Literal["cifar", "half", "imagenet"]
"""A backbone's first layer: 3x3 stride 1; 3x3 stride 2; 7x7 stride 2 and max-pool."""


class SearchKeeper(ABC):
    """Where unfinished searches are kept, so that an interrupted evaluation can go on with them.

    Searches are numbered in the order in which they are opened. What is kept with each are the
    states of the generators and the counts of the model, too.
    """

    @abstractmethod
    def open(self, tensors: Mapping[str, Tensor]) -> tuple[int, list[Tensor] | None]:
        """Open the next search.

        Args:
            tensors: its initial state, overwritten in place if it was kept before.

        Returns:
            Its number; and the ``lists`` that were kept with it, None if it was not kept.
        """

    @abstractmethod
    def due(self) -> bool:
        """Return whether enough time has passed since the file was last written."""

    @abstractmethod
    def keep(
        self, number: int, tensors: Mapping[str, Tensor], lists: Sequence[Tensor], write: bool
    ) -> None:
        """Copy the state of a search; drop what was kept of the searches opened after it.

        Args:
            number: the search's.
            tensors: its state.
            lists: tensors of any length that belong to it.
            write: write the file now, rather than when it is due.
        """


class VictimModel(ABC):
    """The model under attack, as the evaluator passes it to attacks.

    Called like any model, it returns exact logits, differentiable if a gradient is wanted. Attacks
    use its other methods through :mod:`robench.attack_tools`, which also accepts bare callables
    (:func:`robench.attack_tools.victims.as_victim`).

    Attributes:
        batch_size: how many samples to pass at a time, halved if memory runs out; None: all of
            them.
        keeper: where searches are kept while they run; None: nowhere.
        defense: the defense of the model, which an adaptive attack must know; None if there is none
            of robench's.
    """

    batch_size: int | None = None
    keeper: SearchKeeper | None = None
    defense: "Defense | None" = None

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

    def for_exact_gradients(self, images: Tensor) -> Tensor:
        """Return logits whose gradient is float32, for attacks that need their exact size, too."""
        return self(images)

    def counts(self) -> tuple[Any, ...]:
        """Return what it has counted so far, for :meth:`recount`."""
        return ()

    def recount(self, counts: tuple[Any, ...]) -> None:  # noqa: B027 - it may count nothing
        """Count from ``counts`` on: what came after them failed and will be repeated."""

    @abstractmethod
    def report(self, finished: int) -> None:
        """Report how many samples of the running attack are finished."""
