"""Cache for values that a layer computes from its parameters while they are frozen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class _Held(Generic[T]):
    value: T
    sources: tuple[Tensor, ...]
    memory: tuple[Tensor, ...]  # kept alive so that no new values of the sources reuse it
    marks: tuple[object, ...]


class WeightCache(Generic[T]):
    """A cache of one value, valid as long as the tensors it is computed from do not change.

    Nothing is cached while a source requires a gradient: the value would hold on to the graph, and
    writes to ``weight.data``, as older optimizers make them, do not change the version counter.
    Such a write to a frozen source is not noticed, nor is the step of a fused optimizer: the layer
    keeps the value until its source is written to in place, or
    :func:`robench.models.frozen.under_attack` is entered.
    Nothing is cached in inference mode either, since gradients cannot pass through its tensors.

    Attributes:
        fixed: return the value that is cached, whatever the sources: for programs that follow a
            forward with tensors that have no memory.
    """

    def __init__(self) -> None:
        self._held: _Held[T] | None = None
        self.fixed = False

    def get(self, make: Callable[[], T], sources: Sequence[Tensor], *facts: object) -> T:
        """Return the value cached for ``sources`` and ``facts``, or compute it with ``make``."""
        if self.fixed and self._held is not None:
            return self._held.value
        if torch.is_inference_mode_enabled() or any(
            source.requires_grad or source.is_inference() for source in sources
        ):
            self.clear()
            return make()
        marks = (facts, *((t.data_ptr(), t._version, t.dtype, t.device) for t in sources))
        held = self._held
        if held is None or held.marks != marks or not _same(held.sources, sources):
            memory = tuple(source.detach() for source in sources)
            held = self._held = _Held(make(), tuple(sources), memory, marks)
        return held.value

    def clear(self) -> None:
        """Drop the cached value."""
        self._held = None


def _same(held: Sequence[Tensor], sources: Sequence[Tensor]) -> bool:
    return all(a is b for a, b in zip(held, sources, strict=True))
