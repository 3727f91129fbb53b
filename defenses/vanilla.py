"""No normalization at all."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robench import Defense, register_defense
from robench.base import DIFFERENTIABLE, Kind


@register_defense("vanilla")
@dataclass(frozen=True)
class Vanilla(Defense):
    """Plain convolutions; the network's norm layers are dropped."""

    kind: ClassVar[Kind] = "reference"
    adaptive_note: ClassVar[str] = DIFFERENTIABLE

    def replace_norm(self, norm: nn.Module) -> nn.Module:
        """Drop the norm layer."""
        return nn.Identity()
