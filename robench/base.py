"""What a defense, an attack, a backbone and a training method are to the suite.

Entries in ``defenses/``, ``attacks/`` and ``robench/training/methods/`` subclass these frozen
dataclasses; their fields are the options that a board may set. The engine acts on what an entry
declares, never on its name.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LogitsModel = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""


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
    def threat_model(self) -> tuple[str, float] | None:
        """The norm and radius of the ball that it keeps to; None where it keeps to none."""
        eps = getattr(self, "eps", None)
        return None if eps is None else (getattr(self, "norm", "linf"), eps)

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


TrainingLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, classes) float32 and labels (B,) int64 -> the mean loss of the batch, a scalar."""


class Update(Protocol):
    """One forward, one backward and one optimizer step of the network in training."""

    def __call__(
        self, images: Tensor, labels: Tensor, loss: TrainingLoss = F.cross_entropy
    ) -> None:
        """Take the step; the defense's penalty is added to the loss and its hooks are called.

        Args:
            images: (N, C, H, W) in [0, 1]; where they require a gradient, that of the loss is
                left in ``images.grad``.
            labels: (N,) int64.
            loss: what is minimized.
        """


@dataclass(frozen=True)
class TrainingMethod:
    """What is done with each minibatch in training. Fields are its options.

    The training loop owns everything else: data, epochs, optimizer, schedule, precision, processes
    and checkpoints. Options named ``replays``, ``eps``, ``step_size`` or ``carry_delta`` take the
    recipe's values of these keys where the method's expression leaves them out; any other option is
    set in the expression, as in ``method = "my_method(beta=6)"``.

    A method keeps no state of its own: what one minibatch leaves to the next, it returns.
    """

    @property
    def steps_per_minibatch(self) -> int:
        """How often :meth:`train_minibatch` calls ``update``; the schedule counts these steps."""
        return 1

    @property
    def forwards_per_minibatch(self) -> int:
        """How often it calls ``update`` or ``logits``: what ``before_training`` is told of."""
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
        """Train on one minibatch; in a training of several processes, on this one's part of it.

        Args:
            images: (B, C, H, W) float32 in [0, 1], on the device of the network.
            labels: (B,) int64.
            update: one optimizer step on images and labels, these or others made from them.
            logits: the network in training mode, images -> float32 logits, without a step: take a
                gradient at the images by ``torch.autograd.grad``, never by ``backward``. Running
                statistics change as in any training forward.
            carried: what the last whole minibatch left, a row per image of this one; None where
                it left nothing, as before the first.

        Returns:
            What the next minibatch is to start from, (B, ...), a row per image; or None, in all
            processes alike. It is saved with each epoch and handed on after a resume.
        """
        raise NotImplementedError
