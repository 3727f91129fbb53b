"""The training-method contract: how a minibatch updates the weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

from robench.base.attack import ThreatModel
from robench.base.model import LogitsModel

TrainingLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, classes) float32 and labels (B,) int64 -> the mean loss of the batch, a scalar."""


class Update(Protocol):
    """One forward, one backward and one optimizer step of the network in training."""

    def __call__(
        self, images: Tensor, labels: Tensor, loss: TrainingLoss = F.cross_entropy
    ) -> None:
        """Take the step; the defense's penalty is added to the loss and its hooks are called.

        Args:
            images: (N, C, H, W) in [0, 1]; if they require a gradient, that of the loss is left
                in ``images.grad``.
            labels: (N,) int64.
            loss: the loss to minimize.
        """


@dataclass(frozen=True)
class TrainingMethod:
    """A rule that updates the weights on each minibatch. Fields are its options.

    The training loop owns everything else: data, epochs, optimizer, schedule, precision, processes
    and checkpoints. Options named ``replays``, ``eps``, ``step_size`` or ``carry_delta`` take the
    recipe's values of these keys if the method's expression leaves them out; any other option is
    set in the expression, as in ``method = "my_method(beta=6)"``.

    A method is stateless: what one minibatch passes on to the next, it returns.
    """

    @property
    def threat_model(self) -> ThreatModel | None:
        """The ball that it trains against, by its options ``eps`` and ``norm``; None without one.

        The loop attacks a few validation images in it after each epoch, to notice a collapse.
        """
        options = vars(self)
        eps = options.get("eps")
        return ThreatModel(options.get("norm", "linf"), eps) if eps else None

    @property
    def steps_per_minibatch(self) -> int:
        """How often :meth:`train_minibatch` calls ``update``; the schedule counts these steps."""
        return 1

    @property
    def forwards_per_minibatch(self) -> int:
        """How often it calls ``update`` or ``logits``; ``before_training`` gets the total."""
        return self.steps_per_minibatch

    def train_minibatch(
        self,
        images: Tensor,
        labels: Tensor,
        update: Update,
        *,
        logits: LogitsModel,
        carried: Tensor | None,
    ) -> Tensor | None:
        """Train on one minibatch or, with several processes, on this process's shard of it.

        Args:
            images: (B, C, H, W) float32 in [0, 1], on the device of the network.
            labels: (B,) int64.
            update: one optimizer step on images and labels, these or others derived from them.
            logits: the network in training mode, images -> float32 logits, without a step; take a
                gradient at the images by ``torch.autograd.grad``, never by ``backward``; there is
                none for the weights. Running statistics change as in any training forward.
            carried: what the last full minibatch returned, one row per image of this one; None if
                it returned nothing, and before the first.

        Returns:
            What the next minibatch starts from, (B, ...), one row per image; or None, in all
            processes alike. It is saved with each epoch and passed on after a resume.
        """
        raise NotImplementedError
