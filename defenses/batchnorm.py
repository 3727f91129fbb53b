"""Batch normalization.

    y = gamma * (x - mean) / sqrt(var + eps) + beta

for each channel: statistics of the batch in training, running averages in evaluation. The gain
gamma / sqrt(var) multiplies a layer's Lipschitz constant and is not bounded.
"""

from dataclasses import dataclass
from typing import ClassVar

from robench import Defense, register_defense
from robench.base import DIFFERENTIABLE, Kind


@register_defense("batchnorm", reference="arXiv:1502.03167")
@dataclass(frozen=True)
class BatchNorm(Defense):
    """Plain convolutions; the network's norm layers are kept."""

    kind: ClassVar[Kind] = "norm layer"
    stateful_in_training: ClassVar[bool] = True
    adaptive_note: ClassVar[str] = DIFFERENTIABLE
