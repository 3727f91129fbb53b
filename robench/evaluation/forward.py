"""How images are passed to a model: as a copy, in one memory format, in padded batches."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.evaluation.validation import check_logits

QUANTUM = 16
"""Batches are padded to a multiple of it: matrix kernels round odd remainders differently."""

OCTAVE = 4
"""Sizes of padded batches between a power of two and the next one, on a GPU."""


@dataclass(frozen=True)
class Forward:
    """A way to pass images to a model. The plain one only makes a copy of them.

    Attributes:
        memory_format: of the images.
        multiple: batches are padded to a multiple of it by repeating their last image.
        few_sizes: batches are padded to one of few sizes. As samples finish, the batches of an
            attack get every size, and a GPU's kernels are chosen, some of them compiled, anew for
            each: on an H100, one to two seconds for a ResNet-18 with depthwise convolutions.
    """

    memory_format: torch.memory_format = torch.contiguous_format
    multiple: int = 1
    few_sizes: bool = False

    def __call__(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return float32 logits, (B, C, H, W) -> (B, classes), differentiable if asked for.

        The model gets tensors of its own, since it may write into them.

        Raises:
            UserError: if the model does not return logits.
        """
        count = len(images)
        if missing := -count % self._step(count):
            images = torch.cat([images, images[-1:].detach().expand(missing, *images.shape[1:])])
        given = images.contiguous(memory_format=self.memory_format)
        # With one channel, both formats are one, and no copy was made.
        logits = model(given.clone() if given.data_ptr() == images.data_ptr() else given)
        logits = single(check_logits(logits, count + missing))
        return logits[:count] if missing else logits

    def _step(self, count: int) -> int:
        """Return what the size of a batch of ``count`` images is to be a multiple of."""
        if not self.few_sizes:
            return self.multiple
        below = 1 << max(0, count.bit_length() - 1)
        return max(self.multiple, below // OCTAVE)


def single(logits: Tensor) -> Tensor:
    """Return logits (B, classes) in float32, with the differences that they have in float64.

    Neither a prediction nor a loss changes if the largest one is subtracted.
    """
    if logits.dtype != torch.float64:
        return logits.float()
    return (logits - logits.detach().amax(1, keepdim=True)).float()


PLAIN = Forward()
"""The way that changes nothing."""
