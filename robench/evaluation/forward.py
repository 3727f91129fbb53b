"""How images are passed to a model: as a copy, in one memory format, in padded batches."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.evaluation.validation import check_logits

QUANTUM = 16
"""Batches are padded to a multiple of it: matrix kernels round odd remainders differently."""


@dataclass(frozen=True)
class Forward:
    """A way to pass images to a model. The plain one only makes a copy of them.

    Attributes:
        memory_format: of the images.
        multiple: batches are padded to a multiple of it by repeating their last image.
    """

    memory_format: torch.memory_format = torch.contiguous_format
    multiple: int = 1

    def __call__(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return float32 logits, (B, C, H, W) -> (B, classes), differentiable if asked for.

        The model gets tensors of its own, since it may write into them.

        Raises:
            UserError: if the model does not return logits.
        """
        count = len(images)
        if missing := -count % self.multiple:
            images = torch.cat([images, images[-1:].detach().expand(missing, *images.shape[1:])])
        given = images.contiguous(memory_format=self.memory_format)
        # With one channel, both formats are one, and no copy was made.
        logits = model(given.clone() if given.data_ptr() == images.data_ptr() else given)
        logits = check_logits(logits, count + missing).float()
        return logits[:count] if missing else logits


PLAIN = Forward()
"""The way that changes nothing."""
