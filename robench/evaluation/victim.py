"""The model under attack: exact for predictions, a fast copy for gradients."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from robench.base import VictimModel
from robench.board.specs import Shortcut
from robench.evaluation.agreement import Precision
from robench.evaluation.copies import autocast
from robench.evaluation.forward import QUANTUM
from robench.evaluation.options import check_shortcuts
from robench.evaluation.shared_copies import copies_for
from robench.models.defend import defense_of

_TIE = 1e-3
"""Lead of the best class, relative to the largest logit, that settles a copy's prediction."""


class Victim(VictimModel):
    """A model as attacks see it: images (B, C, H, W) in [0, 1] -> float32 logits.

    Attributes:
        module: the model itself.
        defense: the defense that was applied to it; None if there is none.
        device: the device of the model.
        batch_size: how many samples to pass at a time; halved if memory runs out.
        on_finished: called with the number of finished samples of the running attack.
        forwards: number of images that went forward, padding excluded.
        backwards: number of images that a gradient was asked for.
    """

    def __init__(
        self,
        model: nn.Module,
        sample: Tensor,
        *,
        batch_size: int,
        without: Iterable[str] = (),
        on_finished: Callable[[int], None] | None = None,
    ) -> None:
        """Choose the fastest copies that agree with a model.

        Args:
            model: the model, in eval mode, its parameters frozen; it is not changed.
            sample: a few images on its device, on which the copies must agree with it.
            batch_size: see above.
            without: shortcuts to leave out.
            on_finished: see above.

        Raises:
            UserError: if the model does not return logits.
        """
        self.batch_size: int = batch_size
        self._least = min(batch_size, QUANTUM)
        self.on_finished = on_finished
        self.forwards = self.backwards = 0
        self.module = model
        self.defense = defense_of(model)
        self.device = sample.device
        left = set(get_args(Shortcut)) - check_shortcuts(without)
        self._copies = copies_for(model, sample, left, batch_size=batch_size)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the exact logits, differentiable if a gradient is wanted."""
        with autocast(self.device, "float32"):
            return self._ask(self.module, images)

    @property
    def gradients(self) -> Precision:
        """The precision of gradients, "bf16" or "float32"."""
        return self._copies.gradients

    @property
    def refused(self) -> Mapping[str, str]:
        """For each shortcut that the model rules out, the reason: the end of a sentence."""
        return self._copies.refused

    @property
    def independent(self) -> bool:
        """Whether the logits of an image are known not to depend on the rest of its batch."""
        return self._copies.independent

    @property
    def num_classes(self) -> int:
        """Number of logits per image."""
        return self._copies.num_classes

    def counts(self) -> tuple[int, int]:
        """Return the forwards and backwards counted so far."""
        return self.forwards, self.backwards

    def recount(self, counts: tuple[int, int]) -> None:
        """Count from these on: what came after them failed and will be repeated."""
        self.forwards, self.backwards = counts

    def report(self, finished: int) -> None:
        """Pass on how many samples of the running attack are finished."""
        if self.on_finished is not None:
            self.on_finished(finished)

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits with the same argmax as the model's, without gradient."""
        with torch.no_grad(), autocast(self.device, "float32"):
            logits = self._ask(self._copies.exact, images)
            if self._copies.exact is self.module or logits.shape[1] < 2:
                return logits
            first, second = logits.topk(2, dim=1).values.unbind(1)
            # Also if the lead is NaN, so that the model itself decides where the copy breaks down.
            close = ~(first - second > _TIE * logits.abs().amax(1))
            if close.any():
                logits[close] = self._ask(self.module, images[close])
                self.forwards -= int(close.sum())  # one prediction, one forward
        return logits

    def for_gradients(self, images: Tensor) -> Tensor:
        """Return logits of the fast copy, for gradients; for predictions use :meth:`predict`."""
        self.backwards += len(images)
        with autocast(self.device, self.gradients):
            return self._ask(self._copies.fast, images)

    def for_exact_gradients(self, images: Tensor) -> Tensor:
        """Return logits of the float32 copy, for gradients; :meth:`predict` settles ties."""
        self.backwards += len(images)
        with autocast(self.device, "float32"):
            return self._ask(self._copies.exact, images)

    def _ask(self, model: nn.Module, images: Tensor) -> Tensor:
        self.forwards += len(images)
        forward = self._copies.forward
        if self.batch_size < self._least:  # memory ran out: no more padding
            forward = replace(forward, multiple=1, few_sizes=False)
        return forward(model, images)
