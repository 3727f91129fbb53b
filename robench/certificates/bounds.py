"""What is proved of a value in a network: how far it moves, how large it is, how it is rounded.

Everything is about images x in the box [0, 1]^d and Euclidean norms. For a value v of the network,

    ||v(x) - v(x')||  <=  lipschitz ||x - x'||,      ||v(x)||  <=  size,

in exact arithmetic, and the value computed in float64 is at most ``error`` away from the exact one.
A layer that is a sum of n products per output, with absolute values |W|, rounds by at most

    gamma_n (|| |W| || size + ||bias||),      gamma_n = n u / (1 - n u),   u = 2^-53

(Higham, Accuracy and Stability of Numerical Algorithms, Section 3.1).
"""

import math
from dataclasses import dataclass

from robench.base.layer_bound import LayerBound

UNIT = 2.0**-53
"""The unit roundoff of float64."""

EXACT = LayerBound(norm=1.0)
"""A layer of Lipschitz constant 1 that rounds nothing: it selects, compares or moves numbers."""


@dataclass(frozen=True)
class Value:
    """What is proved of a value; see the module."""

    lipschitz: float
    size: float
    error: float


def image(shape: tuple[int, ...]) -> Value:
    """Return what is known of an image in [0, 1], which float64 holds exactly."""
    return Value(1.0, math.sqrt(math.prod(shape)), 0.0)


def through(layer: LayerBound, value: Value, size: float) -> Value:
    """Return what is proved behind a layer.

    Args:
        layer: the layer.
        value: what is proved of its input.
        size: an upper bound on the norm of its output, up to its rounding.
    """
    rounded = gamma(layer.terms) * (layer.absolute * (value.size + value.error) + layer.shift)
    error = layer.norm * value.error + rounded
    return Value(layer.norm * value.lipschitz, size + error, error)


def added(one: Value, other: Value, size: float) -> Value:
    """Return what is proved of a sum, which may be that of a value with itself."""
    rounded = gamma(1) * (one.size + one.error + other.size + other.error)
    error = one.error + other.error + rounded
    return Value(one.lipschitz + other.lipschitz, size + error, error)


def gamma(terms: int) -> float:
    """Return the largest relative error of a sum of so many roundings."""
    return terms * UNIT / (1 - terms * UNIT)
