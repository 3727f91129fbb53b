"""The attack contract: a threat model and a way to search it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from robench.base.inheritance import RadiusOptions
from robench.base.model import LogitsModel


class ThreatModel(NamedTuple):
    """The set that an attack may search: a ball around each image, inside [0, 1].

    Attributes:
        norm: "linf", "l2", or another norm of a third-party attack.
        eps: the radius of the ball, in pixel units (images in [0, 1]).
    """

    norm: str
    eps: float


@dataclass(frozen=True)
class Adversarial:
    """What an attack returns for its samples; counts that it leaves out are filled in.

    Attributes:
        images: (B, C, H, W) float32 in [0, 1], the images to be evaluated.
        queries: (B,) int64, model evaluations charged to each sample by the attack's own rule;
            None: those actually made.
        forwards: (B,) int64, model evaluations actually made for each sample; None: the evaluator
            counts them.
        backwards: (B,) int64, gradients taken for each sample; None: the evaluator counts them.
    """

    images: Tensor
    queries: Tensor | None = None
    forwards: Tensor | None = None
    backwards: Tensor | None = None


@dataclass(frozen=True)
class Proof:
    """What was proved of the predictions of a network on its samples.

    Attributes:
        radii: (B,) float64, the certified radius of each sample: no image nearer than that, in the
            norm of :attr:`Attack.proves`, changes the prediction; 0 for a sample that is
            misclassified or of which nothing is proved.
        lipschitz: the Lipschitz constant, from pixels in [0, 1] to logits, that the radii follow
            from; None if they follow from something else.
        unproved: why nothing is proved of this network; empty if something is.
    """

    radii: Tensor
    lipschitz: float | None = None
    unproved: str = ""


ADDED_LATER = {"added_later": True}
"""Metadata of an option that an attack did not always have. Before, it did what it does by default
now, so that the default is no part of the identity of outcomes, and stored ones are found again."""


@dataclass(frozen=True)
class Attack:
    """A threat model and a way to search it. Fields are its options.

    An attack is stateless and gets every random number from ``rngs``, one CPU generator
    per sample, so that its result depends neither on the batch size nor on the order of batches.

    Attributes:
        samples: attack only this many of the evaluation's images, the first ones (None: all).
    """

    reports_queries: ClassVar[bool] = False
    """Whether its cost in queries is a result, shown in tables (black-box attacks)."""
    batches_itself: ClassVar[bool] = False
    """Whether it takes many more samples than fit into a batch and limits its batches to
    ``model.batch_size`` itself, as with :func:`robench.attack_tools.batching.run_batched`."""

    depends_on_batch: ClassVar[bool] = False
    """Whether its result may depend on which samples share a batch, as with libraries that draw
    random numbers for all of them. Stored outcomes are then those of one batch size."""

    corrupts: ClassVar[bool] = False
    """Whether it is a corruption rather than an attack: it does not search for a mistake and is
    applied to clean mistakes, too, which it may put right. Its accuracy is that on its images."""

    moves_every_image: ClassVar[bool] = False
    """Whether it moves every image on which there is a gradient, also those that it does not fool:
    one that moves none has found nothing to follow."""

    needs_defense: ClassVar[bool] = False
    """Whether it is an attack that defenses ship against themselves, and finds nothing without."""

    radius_options: ClassVar[RadiusOptions] = RadiusOptions()
    """Its names for norm, radius and step size: which defaults it inherits together."""

    samples: int | None = field(default=None, kw_only=True)

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a subclass of PGD that overrides ``perturb`` search by it, not by what PGD shares."""
        super().__init_subclass__(**options)
        if "perturb" in vars(cls):
            for name in ("shared_work", "perturb_together"):
                if name not in vars(cls):
                    setattr(cls, name, vars(Attack)[name])

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """Return the options of each column that one call with ``options`` stands for."""
        return (options,)

    @property
    def threat_model(self) -> ThreatModel | None:
        """The norm and radius of the ball that the attack keeps to; None if it is unbounded."""
        options = vars(self)
        eps = options.get("eps")
        return None if eps is None else ThreatModel(options.get("norm", "linf"), eps)

    @property
    def minimized_norm(self) -> str | None:
        """The norm whose smallest fooling perturbation the attack looks for; None if it does not.

        Such an attack keeps to no ball, and its sizes give the accuracy at every radius.
        """
        return None

    @property
    def proves(self) -> ThreatModel | None:
        """The ball within which it proves predictions, if it is a certificate; None if it is not.

        A certificate perturbs nothing: the evaluator calls :meth:`proof`. Its accuracy is the share
        of the samples that are classified correctly with a certified radius of ``eps`` or more,
        which no attack in that ball can undercut.
        """
        return None

    def proof(self, model: nn.Module, images: Tensor, labels: Tensor) -> Proof:
        """Return what is proved of a network, if this is a certificate.

        Args:
            model: the network itself, in eval mode, its parameters frozen.
            images: (B, C, H, W) float32 in [0, 1], on the CPU.
            labels: (B,) int64, the true classes.
        """
        raise NotImplementedError

    def perturb(
        self, model: LogitsModel, images: Tensor, labels: Tensor, rngs: Sequence[torch.Generator]
    ) -> Adversarial:
        """Search for an adversarial image for each sample.

        Args:
            model: images in [0, 1] -> logits; in eval mode, its parameters frozen.
            images: (B, C, H, W) float32 in [0, 1].
            labels: (B,) int64, the true classes.
            rngs: B generators on the CPU.
        """
        raise NotImplementedError

    def shared_work(self) -> Hashable:
        """Return a key; attacks with equal keys are passed to :meth:`perturb_together` at once."""
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
        """Run attacks with one :meth:`shared_work` key; return their results in order.

        Every result must equal what :meth:`perturb` of that attack alone returns. By default the
        key is the attack itself, so that the attacks are equal, and so are their results.
        """
        if any(attack != attacks[0] for attack in attacks):
            raise NotImplementedError(f"{cls.__name__} has shared_work but no perturb_together")
        return [attacks[0].perturb(model, images, labels, rngs)] * len(attacks)
