"""What an attack is to the suite: a threat model and a way to search it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from robench.base.model import LogitsModel


class ThreatModel(NamedTuple):
    """What an attack may do to an image: move it within a ball, inside [0, 1].

    Attributes:
        norm: "linf", "l2", or another norm of a third-party attack.
        eps: the radius of the ball, in pixel units (images in [0, 1]).
    """

    norm: str
    eps: float


@dataclass(frozen=True)
class Adversarial:
    """What an attack hands back for its samples; what it does not count is counted for it.

    Attributes:
        images: (B, C, H, W) float32 in [0, 1], the images to be judged.
        queries: (B,) int64, model evaluations charged to each sample by the attack's own rule;
            None: those really made.
        forwards: (B,) int64, model evaluations really made for each sample; None: counted.
        backwards: (B,) int64, gradients taken for each sample; None: counted.
    """

    images: Tensor
    queries: Tensor | None = None
    forwards: Tensor | None = None
    backwards: Tensor | None = None


@dataclass(frozen=True)
class Attack:
    """A threat model and a way to search it. Fields are its options.

    An attack is stateless and gets every random number from ``rngs``, one CPU generator a
    sample, so that its result depends neither on the batch size nor on the order of samples.
    """

    reports_queries: ClassVar[bool] = False
    """Its cost in queries is a result, shown in tables (black-box attacks)."""
    batches_itself: ClassVar[bool] = False
    """It takes many more samples than fit into a batch and keeps to ``model.batch_size`` itself,
    as with :func:`robench.attack_tools.batching.run_batched`."""

    samples: int | None = field(default=None, kw_only=True)
    """Attack only the first so many of the evaluation's images (None: all)."""

    @property
    def threat_model(self) -> ThreatModel | None:
        """The norm and radius of the ball that it keeps to; None where it keeps to none."""
        options = vars(self)
        eps = options.get("eps")
        return None if eps is None else ThreatModel(options.get("norm", "linf"), eps)

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
