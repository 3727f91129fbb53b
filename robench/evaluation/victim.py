"""The model under attack: exact for predictions, a fast copy for gradients."""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from robench.base import VictimModel
from robench.board.specs import Shortcut
from robench.evaluation.folding import folded, half_precision
from robench.evaluation.options import check_shortcuts
from robench.evaluation.validation import check_logits
from robench.system.devices import has_bf16

Precision = Literal["bf16", "float32"]

QUANTUM = 16
"""Batches are padded to a multiple of it: matrix kernels round odd remainders differently."""

_DISTANCE = {"bf16": 0.1, "float32": 1e-4}
"""Largest distance of a copy's logits from those of the model, relative to their spread."""

_TIE = 1e-3
"""Lead of the best class, relative to the largest logit, that settles a copy's prediction."""


class Victim(VictimModel):
    """A model as attacks see it: images (B, C, H, W) in [0, 1] -> float32 logits.

    Attributes:
        module: the model itself.
        device: the device of the model.
        batch_size: how many samples to pass at a time; halved if memory runs out.
        on_finished: called with the number of finished samples of the running attack.
        gradients: the precision of gradients, "bf16" or "float32".
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
        self.on_finished = on_finished
        self.forwards = self.backwards = 0
        self.module = model
        self.device = sample.device
        left = set(get_args(Shortcut)) - check_shortcuts(without)
        self._layout = torch.channels_last if "channels_last" in left else torch.contiguous_format
        self._least = min(batch_size, QUANTUM)
        self.gradients: Precision = "float32"
        self._exact = self._fast = model
        self._choose_copies(sample, left)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the exact logits, differentiable if a gradient is wanted."""
        with torch.autocast(self.device.type, enabled=False):
            return self._ask(self.module, images)

    @property
    def num_classes(self) -> int:
        """Number of logits per image."""
        return self._num_classes

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
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            logits = self._ask(self._exact, images)
            if self._exact is self.module or logits.shape[1] < 2:
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
        with self._autocast(self.gradients):
            return self._ask(self._fast, images)

    def _ask(self, model: nn.Module, images: Tensor) -> Tensor:
        count = len(images)
        self.forwards += count
        missing = -count % QUANTUM if self.batch_size >= self._least else 0
        if missing:
            images = torch.cat([images, images[-1:].detach().expand(missing, *images.shape[1:])])
        logits = model(images.contiguous(memory_format=self._layout))
        logits = check_logits(logits, len(images)).float()
        return logits[:count] if missing else logits

    def _choose_copies(self, sample: Tensor, left: set[str]) -> None:
        """Choose the fastest copies that agree with the model."""
        with torch.no_grad():
            wanted = self(sample)
            self._num_classes = wanted.shape[1]
            if not wanted.isfinite().all() or not torch.equal(wanted, self(sample)):
                return  # a randomized model is not copied
            bf16 = "bf16" in left and has_bf16(self.device)
            if "folding" in left and (copied := self._copy(folded, "float32", sample, wanted)):
                self._exact = self._fast = copied
            if bf16 and (copied := self._copy(half_precision, "bf16", sample, wanted)):
                self._fast, self.gradients = copied, "bf16"
        self.forwards = self.backwards = 0

    def _copy(
        self,
        make: Callable[[nn.Module], nn.Module],
        precision: Precision,
        sample: Tensor,
        wanted: Tensor,
    ) -> nn.Module | None:
        """Return a copy of the fast model, or None if it does not agree with the model."""
        try:
            copied = make(self._fast).to(memory_format=self._layout)
            with self._autocast(precision):
                found = self._ask(copied, sample)
        except Exception:  # if the copy fails, the model itself is used
            return None
        return copied if _near(found, wanted, _DISTANCE[precision]) else None

    def _autocast(self, precision: Precision) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")


def _near(found: Tensor, wanted: Tensor, distance: float) -> bool:
    if found.shape != wanted.shape or not found.isfinite().all():
        return False
    spread = (wanted - wanted.mean(1, keepdim=True)).norm()
    return bool((found - wanted).norm() <= distance * spread)
