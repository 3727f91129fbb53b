"""What a defense, an attack and a backbone are to the suite.

Entries in ``defenses/`` and ``attacks/`` subclass these frozen dataclasses; their fields are the
options that a board may set. The engine acts on what an entry declares, never on its name.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

LogitsModel = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""


@dataclass(frozen=True)
class Defense:
    """What is done to a network, independent of the network. Fields are its options."""

    strict_lipschitz: ClassVar[bool] = False
    """Each replaced convolution is 1-Lipschitz by construction."""
    stateful_in_training: ClassVar[bool] = False
    """A forward in training mode changes buffers (running statistics, power iterations)."""

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Return why ``conv`` cannot be replaced, or None; asked before anything is changed."""
        return None

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return what stands in the place of ``conv`` (default: itself)."""
        return conv

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return what stands in the place of a norm layer (default: itself)."""
        return norm

    def before_training(self, model: nn.Module, total_forwards: int) -> None:
        """Tell the layers how many training forwards will come; free replays are counted."""

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return a scalar to add to the training loss, or None."""
        return None

    def after_step(self, model: nn.Module) -> None:
        """Change the model after each optimizer step, e.g. project its weights."""


@dataclass(frozen=True)
class Adversarial:
    """What an attack hands back for a batch.

    Attributes:
        images: (B, C, H, W) float32 in [0, 1], the images to be judged.
        queries: (B,) int64, model evaluations charged to each sample by the attack's own rule.
        forwards: (B,) int64, model evaluations really made for each sample.
    """

    images: Tensor
    queries: Tensor
    forwards: Tensor


@dataclass(frozen=True)
class Attack:
    """A threat model and a way to search it. Fields are its options.

    An attack is stateless and gets every random number from ``rngs``, one CPU generator a
    sample, so that its result depends neither on the batch size nor on the order of samples.
    """

    reports_queries: ClassVar[bool] = False
    """Its cost in queries is a result, shown in tables (black-box attacks)."""

    samples: int | None = field(default=None, kw_only=True)
    """Attack only the first so many of the evaluation's images (None: all)."""

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[torch.Generator]
    ) -> Adversarial:
        """Search an adversarial image for each sample.

        Args:
            model: images in [0, 1] -> logits; in eval mode, its parameters frozen.
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int64, the true classes.
            rngs: B generators on the CPU.
        """
        raise NotImplementedError

    def shared_work(self) -> Hashable:
        """Return a key; attacks of equal keys are handed to :meth:`perturb_together` at once."""
        return self

    @classmethod
    def perturb_together(
        cls,
        attacks: Sequence[Self],
        model: LogitsModel,
        images: Tensor,
        labels: Tensor,
        rngs: Sequence[torch.Generator],
    ) -> list[Adversarial]:
        """Run attacks of one :meth:`shared_work` key; a result for each, in their order.

        Every result must be what :meth:`perturb` of that attack alone gives.
        """
        if len(attacks) > 1:
            raise NotImplementedError(f"{cls.__name__} shares work but not perturb_together")
        return [attacks[0].perturb(model, images, labels, rngs)]
