"""The losses of the discriminator and the generator, from scores (N,)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn.functional import relu, softplus


@dataclass(frozen=True)
class GanLoss:
    """A pair of losses.

    Attributes:
        discriminator: from scores of images and scores of samples, a scalar to minimize.
        generator: from scores of samples, a scalar to minimize.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return relu(1 - real).mean() + relu(1 + fake).mean()


def _softplus(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


LOSSES: Mapping[str, GanLoss] = MappingProxyType(
    {
        "hinge": GanLoss(_hinge, lambda fake: -fake.mean()),
        "softplus": GanLoss(_softplus, lambda fake: softplus(-fake).mean()),
    }
)
"""``hinge``: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), and -E D(G(z)); ``softplus``, the
cross-entropy of Goodfellow et al. with the generator's loss that does not saturate:
E log(1 + exp(-D(x))) + E log(1 + exp(D(G(z)))), and E log(1 + exp(-D(G(z))))."""
