"""The defense contract: a modification of a network, independent of its architecture."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from robench.base.attack import Attack, ThreatModel

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


DIFFERENTIABLE = (
    "At evaluation it is a deterministic and differentiable function of the image, whose gradient "
    "is blocked nowhere, so that white-box attacks are adaptive."
)
"""The note of a defense on which an attack that follows its gradients is an adaptive one."""


REPLACES_CONV = "replaces_conv"
"""Attribute that is set to true on each module by which a defense was applied in the place of a
convolution, the convolution itself included."""


FLOAT32: Mapping[str, Any] = MappingProxyType({"precision": "float32"})
"""The recipe of a defense that does not support mixed precision."""


@dataclass(frozen=True)
class Supports:
    """Which convolutions a defense can replace, and which recipes it can be trained with."""

    stride: bool = True
    groups: bool = True
    dilation: bool = True
    pointwise: bool = True
    """Kernels of size 1x1."""
    mixed_precision: bool = True
    averaging: bool = True
    """Averaged weights: no, if evaluation uses a kernel that only a training forward computes."""

    def refusal(self, conv: nn.Conv2d) -> str | None:
        """Return why ``conv`` is not supported, or None."""
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
    """A modification of a network, independent of its architecture. Fields are its options."""

    kind: ClassVar[Kind] = "weight parametrization"
    """How it works, as lists show it: a defense that replaces norm layers is a "norm layer"."""
    strict_lipschitz: ClassVar[bool] = False
    """Whether each replaced convolution is 1-Lipschitz in L2 by construction."""
    stateful_in_training: ClassVar[bool] = False
    """Whether a forward in training mode changes state (running statistics, power iterations)."""
    supports: ClassVar[Supports] = Supports()
    """Which convolutions it can replace, and which recipes it can be trained with."""
    requires: ClassVar[str] = ""
    """The optional package that it needs, as in ``pip install``; "" if it needs none."""
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """What it sets in the training recipe unless its row on the board does; shown in the table."""
    adaptive_note: ClassVar[str] = ""
    """Why it needs no attack of its own, in a sentence that pages print; "" to say nothing."""

    def unsupported(self, conv: nn.Conv2d) -> str | None:
        """Return why ``conv`` cannot be replaced, or None; called before anything is changed."""
        return self.supports.refusal(conv)

    def replace_conv(self, conv: nn.Conv2d) -> nn.Module:
        """Return the module that replaces ``conv`` (default: itself)."""
        return conv

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Return the module that replaces a norm layer (default: itself)."""
        return norm

    def before_training(self, model: nn.Module, total_forwards: int) -> None:
        """Prepare the layers for this many training forwards, free replays included."""

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return a scalar to add to the training loss, with a graph to parameters, or None."""
        return None

    def after_step(self, model: nn.Module) -> None:
        """Change parameters in place after each optimizer step, e.g. project them.

        A new ``nn.Parameter`` in the place of another one would not be trained, and is refused.
        """

    def adaptive_attack(self, threat_model: ThreatModel) -> Attack | None:
        """Return the attack that knows how the defense works, which its authors owe.

        Boards run it as their attack ``adaptive``.

        Args:
            threat_model: the ball that it keeps to.

        Returns:
            An attack with this threat model; None if there is none, see ``adaptive_note``.
        """
        return None


@dataclass(frozen=True)
class ConvDefense(Defense):
    """A defense that acts on the convolutions; the network's norm layers may stay.

    Attributes:
        bn: keep the network's norm layers; otherwise they are dropped.
    """

    bn: bool = field(default=True, kw_only=True)

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Keep the norm layer, or drop it."""
        return norm if self.bn else nn.Identity()
