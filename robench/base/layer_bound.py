"""What is proved of a layer: the interface through which layers of any origin are certified."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class LayerBound:
    """An upper bound on what a layer does to its input, in Euclidean norms.

    Attributes:
        norm: its Lipschitz constant.
        absolute: what the absolute values of its terms do: a bound on the norm of the outputs, per
            norm of the input, if every product and summand counted with its absolute value.
        terms: number of roundings in each output; 0 if it only selects, compares or moves numbers.
        shift: norm of what it adds to the output, such as a bias on all pixels.
    """

    norm: float
    absolute: float = 0.0
    terms: int = 0
    shift: float = 0.0


@runtime_checkable
class Bounded(Protocol):
    """A layer that states a proved bound of its own.

    :func:`robench.certify` computes the bounds of torch's layers. Other layers state theirs, and
    what is found from below, the norm of their derivative at a random point, must not contradict
    it::

        class MaxMin(nn.Module):
            def forward(self, x):
                one, other = x.chunk(2, 1)
                return torch.cat([torch.maximum(one, other), torch.minimum(one, other)], 1)

            def layer_bound(self, shape):
                return LayerBound(norm=1.0)
    """

    def layer_bound(self, shape: tuple[int, ...]) -> LayerBound:
        """Return a bound on inputs of a shape, (C, H, W) or (features,), in float64 eval mode."""
