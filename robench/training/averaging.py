"""An exponential moving average of the weights during training.

Averages of the last few hundred steps are more robust than the last weights (Izmailov et al. 2018;
for adversarial training Gowal et al. 2020, arXiv:2010.03593).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of a network's weights, updated after each optimizer step.

    Averaged are the parameters that are trained and, as they belong to them, the floating-point
    buffers named ``running_...``, as torch calls running statistics. These begin with their value
    after the first step: before, they hold what stands for none, such as the zeros of a norm, which
    would stay in the average for hundreds of steps, and some layers make them only then. All other
    state, such as the vectors of a power iteration, is the network's own: an average of directions
    would be none.

    Args:
        model: the network, with the parameters that the average begins with.
        decay: what remains of the average after one step, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.trained = frozenset(trained)  # as it is now: the network may be frozen later
        self.values = {name: own.detach().clone() for name, own in trained.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the current weights."""
        for name, tensor in self._averaged():
            if name in self.values:
                self.values[name].lerp_(tensor, 1 - self.decay)
            else:
                self.values[name] = tensor.detach().clone()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the average inside the context, and its own weights back after it."""
        own = {name: tensor.detach().clone() for name, tensor in self._averaged()}
        self.apply()
        try:
            yield
        finally:
            self._set(own)

    def apply(self) -> None:
        """Give the network the average."""
        self._set(self.values)

    def load(self, values: dict[str, Tensor]) -> None:
        """Continue from a saved average; the network has been loaded before.

        Raises:
            ValueError: if it is that of another network.
        """
        own = dict(self._averaged())
        known = {name: tensor.shape for name, tensor in own.items()}
        saved = {name: value.shape for name, value in values.items()}
        if not (saved.items() <= known.items() and saved.keys() >= self.values.keys()):
            raise ValueError("its average is that of another network")
        self.values = {n: v.to(own[n].device, own[n].dtype, copy=True) for n, v in values.items()}

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, tensor in self._averaged():
            if name in values:
                tensor.copy_(values[name])

    def _averaged(self) -> Iterator[tuple[str, Tensor]]:
        yield from ((n, own) for n, own in self.model.named_parameters() if n in self.trained)
        for name, buffer in self.model.named_buffers():
            if name.rpartition(".")[2].startswith("running_") and buffer.is_floating_point():
                yield name, buffer
