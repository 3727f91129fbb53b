"""What a defense, an attack and a backbone are to the suite.

Entries in ``defenses/`` and ``attacks/`` subclass these frozen dataclasses; their fields are the
options that a board may set. The engine acts on what an entry declares, never on its name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

LogitsModel = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""

Stem = Literal["cifar", "half", "imagenet"]
"""A backbone's first layer: 3x3 stride 1; 3x3 stride 2; 7x7 stride 2 and max-pool."""


class VictimModel(ABC):
    """The model under attack, as the evaluator hands it to attacks.

    Called like any model it returns exact logits, differentiable where a gradient is wanted.
    Attacks reach the rest through :mod:`robench.attack_tools`, which takes bare callables too
    (:func:`robench.attack_tools.victims.as_victim`).

    Attributes:
        batch_size: how many samples to hand over at a time, halved where memory runs out;
            None: all of them.
    """

    batch_size: int | None = None

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """How many logits there are per image."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Return exact logits, (B, C, H, W) -> (B, classes)."""

    @abstractmethod
    def predict(self, images: Tensor) -> Tensor:
        """Return float32 logits whose largest is that of the model; without gradient."""

    @abstractmethod
    def for_gradients(self, images: Tensor) -> Tensor:
        """Return logits whose gradient an attack follows; faster, not exact."""

    @abstractmethod
    def report(self, finished: int) -> None:
        """Take note of how many samples of the attack under way are finished."""


class ThreatModel(NamedTuple):
    """What an attack may do to an image: move it within a ball, inside [0, 1].

    Attributes:
        norm: "linf", "l2", or another norm of a third-party attack.
        eps: the radius of the ball, in pixel units (images in [0, 1]).
    """

    norm: str
    eps: float


Kind = Literal[
    "reference",
    "norm layer",
    "weight parametrization",
    "convolution",
    "penalty",
    "projection",
    "residual block",
]
"""How a defense works: not at all, on the norm layers, on the weights, on the whole layer, through
the loss, after each step, or by a block of another form."""


FLOAT32: Mapping[str, Any] = MappingProxyType({"precision": "float32"})
"""The recipe of a defense that does not support mixed precision."""


@dataclass(frozen=True)
class Supports:
    """Which convolutions a defense can replace, and whether it trains in mixed precision."""

    stride: bool = True
    groups: bool = True
    dilation: bool = True
    pointwise: bool = True
    """Kernels of one pixel, 1x1."""
    mixed_precision: bool = True

    def refusal(self, conv: nn.Conv2d) -> str | None:
        """Return what about ``conv`` is not supported, or None."""
        if not self.stride and max(conv.stride) > 1:
            return f"its stride is {conv.stride[0]}x{conv.stride[1]}, only 1 is supported"
        if not self.groups and conv.groups > 1:
            return f"it has {conv.groups} groups, only 1 is supported"
        if not self.dilation and max(conv.dilation) > 1:
            return f"its dilation is {conv.dilation[0]}x{conv.dilation[1]}, only 1 is supported"
        if not self.pointwise and conv.kernel_size == (1, 1):
            return "its kernel is 1x1"
        return None


@dataclass(frozen=True)
class Defense:
    """What is done to a network, independent of the network. Fields are its options."""

    kind: ClassVar[Kind] = "weight parametrization"
    strict_lipschitz: ClassVar[bool] = False
    """Each replaced convolution is 1-Lipschitz in L2 by construction."""
    stateful_in_training: ClassVar[bool] = False
    """A forward in training mode changes buffers (running statistics, power iterations)."""
    supports: ClassVar[Supports] = Supports()
    requires: ClassVar[str] = ""
    """The optional package that it needs, as in ``pip install``; "" where there is none."""
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """What it sets in the training recipe unless its arm on the board does; shown in the table."""

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Return why ``conv`` cannot be replaced, or None; asked before anything is changed."""
        return self.supports.refusal(conv)

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
class ConvDefense(Defense):
    """A defense of the convolutions, beside which the network's norm layers may stay.

    Attributes:
        bn: keep the network's norm layers; without, they are dropped.
    """

    bn: bool = field(default=True, kw_only=True)

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Keep it or drop it."""
        return norm if self.bn else nn.Identity()


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
    pools: ClassVar[bool] = False
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
