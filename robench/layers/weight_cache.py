"""What a layer computes from its parameters, kept while they are frozen, as under attack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class _Held(Generic[T]):
    value: T
    sources: tuple[Tensor, ...]  # held, so that no other tensor gets their memory
    marks: tuple[object, ...]


class WeightCache(Generic[T]):
    """One value, valid for as long as the tensors that it comes from stay what they are.

    Nothing is kept while a gradient could be asked for: the value would hold the graph, and writes
    to ``weight.data``, as optimizers of old make them, leave no mark. Nor in inference mode, whose
    tensors no later gradient can pass.
    """

    def __init__(self) -> None:
        self._held: _Held[T] | None = None

    def get(self, make: Callable[[], T], sources: Sequence[Tensor], *facts: object) -> T:
        """Return the value kept for ``sources`` and ``facts``, or make it."""
        if torch.is_inference_mode_enabled() or any(
            source.requires_grad or source.is_inference() for source in sources
        ):
            self.clear()
            return make()
        marks = (facts, *((t.data_ptr(), t._version, t.dtype, t.device) for t in sources))
        held = self._held
        if held is None or held.marks != marks or not _same(held.sources, sources):
            held = self._held = _Held(make(), tuple(sources), marks)
        return held.value

    def clear(self) -> None:
        """Keep nothing."""
        self._held = None


def _same(held: Sequence[Tensor], sources: Sequence[Tensor]) -> bool:
    return all(a is b for a, b in zip(held, sources, strict=True))
