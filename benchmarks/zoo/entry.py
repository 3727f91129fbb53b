"""What the zoo knows of a model."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from robench import ThreatModel

THREAT_MODEL = ThreatModel("linf", 0.1)
"""The threat model in which every model of the zoo is attacked, for images in [0, 1]."""

Survivors = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, images (N, C, H, W) in [0, 1], labels (N,)) -> which images stay right, (N,) bool."""


@dataclass(frozen=True)
class Entry:
    """A model of the zoo; each file of the zoo has one, called ``ENTRY``.

    Attributes:
        build: returns the model, in eval mode: images in [0, 1] -> logits.
        why: a sentence: why it looks robust although it is not, or why it is honest.
        causes: the flags that name the cause; none for an honest model. One of them is enough.
        adaptive: the attack that knows the model, which gives its true robust accuracy; None where
            long standard attacks do, as for honest models.
        classes: the digits that the model tells apart, each labeled by its place here.
    """

    build: Callable[[], nn.Module]
    why: str
    causes: tuple[str, ...] = ()
    adaptive: Survivors | None = None
    classes: tuple[int, ...] = tuple(range(10))


def held_out(name: str) -> bool:
    """Return whether a model is in the half on which no threshold of a check was chosen.

    The name decides, so that nobody does.
    """
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1
