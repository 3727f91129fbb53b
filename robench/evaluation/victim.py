"""The model under attack: exact where it is judged, fast where it only shows the way."""

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
"""Batches are filled up to a multiple of it: matrix kernels round odd remainders otherwise."""

_DISTANCE = {"bf16": 0.1, "float32": 1e-4}
"""How far, relative to their spread, logits of a copy may be from those of the model."""

_TIE = 1e-3
"""The lead of the best class, relative to the largest logit, that settles a verdict of the copy."""


class Victim(VictimModel):
    """A model as attacks see it: images (B, C, H, W) in [0, 1] -> float32 logits.

    Attributes:
        module: the model itself.
        device: where it is.
        batch_size: how many samples to hand over at a time; halved where memory runs out.
        on_finished: called with how many samples of the attack under way are finished.
        gradients: what gradients are taken in, "bf16" or "float32".
        forwards: images that went forward, fillers left out.
        backwards: images that a gradient was asked for.
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
        """Look at a model.

        Args:
            model: in eval mode, its parameters frozen; left as it is.
            sample: a few images on its device, on which the fast copy must do what it does.
            batch_size: see above.
            without: shortcuts to leave out.
            on_finished: see above.

        Raises:
            UserError: where it returns no logits.
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
        """Return the exact logits, differentiable where a gradient is wanted."""
        with torch.autocast(self.device.type, enabled=False):
            return self._ask(self.module, images)

    @property
    def num_classes(self) -> int:
        """How many logits it returns per image."""
        return self._num_classes

    def report(self, finished: int) -> None:
        """Pass on how many samples of the attack under way are finished."""
        if self.on_finished is not None:
            self.on_finished(finished)

    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits whose largest is that of the model; without gradient."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            logits = self._ask(self._exact, images)
            if self._exact is self.module or logits.shape[1] < 2:
                return logits
            first, second = logits.topk(2, dim=1).values.unbind(1)
            # Also where the lead is NaN, so that a model that breaks down is seen to.
            close = ~(first - second > _TIE * logits.abs().amax(1))
            if close.any():
                logits[close] = self._ask(self.module, images[close])
                self.forwards -= int(close.sum())  # of one image and verdict
        return logits

    def for_gradients(self, images: Tensor) -> Tensor:
        """Return logits whose gradient shows the way; for verdicts call the victim itself."""
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
        """Take the fastest copies that do what the model does."""
        with torch.no_grad():
            wanted = self(sample)
            self._num_classes = wanted.shape[1]
            if not wanted.isfinite().all() or not torch.equal(wanted, self(sample)):
                return  # a random model is not copied
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
        """Return a copy of the fast model, or None where it does not do what the model does."""
        try:
            copied = make(self._fast).to(memory_format=self._layout)
            with self._autocast(precision):
                found = self._ask(copied, sample)
        except Exception:  # whatever does not work on a copy is done by the model itself
            return None
        return copied if _near(found, wanted, _DISTANCE[precision]) else None

    def _autocast(self, precision: Precision) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")


def _near(found: Tensor, wanted: Tensor, distance: float) -> bool:
    if found.shape != wanted.shape or not found.isfinite().all():
        return False
    spread = (wanted - wanted.mean(1, keepdim=True)).norm()
    return bool((found - wanted).norm() <= distance * spread)
