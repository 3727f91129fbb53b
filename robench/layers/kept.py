"""What a layer computes from its parameters, kept while they are frozen, as under attack."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from torch import Tensor

T = TypeVar("T")


class Kept(Generic[T]):
    """One value, valid for as long as the tensors that it comes from stay what they are.

    Nothing is kept while a gradient could be asked for: the value would hold the graph, and writes
    to ``weight.data``, as optimizers of old make them, leave no mark.
    """

    def __init__(self) -> None:
        self._held: tuple[tuple[object, ...], T] | None = None

    def get(self, make: Callable[[], T], sources: Sequence[Tensor], *facts: object) -> T:
        """Return the value kept for ``sources`` and ``facts``, or make it."""
        if any(source.requires_grad or source.is_inference() for source in sources):
            self.forget()
            return make()
        key = (facts, *((t.data_ptr(), t._version, t.dtype, t.device) for t in sources))
        if self._held is None or self._held[0] != key:
            self._held = (key, make())
        return self._held[1]

    def forget(self) -> None:
        """Keep nothing."""
        self._held = None
