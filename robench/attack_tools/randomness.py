"""Per-sample random numbers: one CPU generator per sample, independent of the batch."""

import math
from collections.abc import Iterable, Sequence

import torch
from numpy.random import SeedSequence
from torch import Generator, Tensor

from robench.attack_tools.threat_models import Norm, norms, per_sample


def generators(seed: int, samples: Iterable[int]) -> list[Generator]:
    """Return a fresh generator for each sample, a function of ``(seed, sample index)`` alone.

    Args:
        seed: any integer >= 0.
        samples: indices of the samples in the data set.
    """
    states = (SeedSequence([seed, i]).generate_state(2) for i in samples)
    return [Generator().manual_seed((int(hi) << 32) | int(lo)) for hi, lo in states]


def uniform(rngs: Sequence[Generator], shape: Sequence[int]) -> Tensor:
    """Return (B, *shape) float32 on the CPU, uniform in [0, 1)."""
    return torch.stack([torch.rand(*shape, generator=rng, dtype=torch.float32) for rng in rngs])


def normal(rngs: Sequence[Generator], shape: Sequence[int]) -> Tensor:
    """Return (B, *shape) float32 on the CPU, standard normal."""
    return torch.stack([torch.randn(*shape, generator=rng, dtype=torch.float32) for rng in rngs])


def permutations(rngs: Sequence[Generator], n: int) -> Tensor:
    """Return (B, n) int64 on the CPU, a random order of 0 ... n-1 for each sample."""
    return torch.stack([torch.randperm(n, generator=rng) for rng in rngs])


def in_ball(rngs: Sequence[Generator], shape: Sequence[int], norm: Norm, eps: float) -> Tensor:
    """Return (B, *shape) float32 on the CPU, uniform in the ball of radius ``eps`` around 0."""
    if norm == "linf":
        return (2 * uniform(rngs, shape) - 1) * eps
    direction = normal(rngs, shape)
    lengths = direction.flatten(1).norm(dim=1).clamp_min(1e-12)
    # The volume within radius r grows as r^d, so radii are the d-th root of a uniform number.
    radii = eps * uniform(rngs, (1,)).squeeze(1) ** (1 / math.prod(shape))
    return direction * (radii / lengths).reshape(-1, *[1] * len(shape))


def on_sphere(rngs: Sequence[Generator], shape: Sequence[int], norm: Norm, eps: float) -> Tensor:
    """Return (B, *shape) float32 on the CPU, of norm ``eps``.

    For Linf uniform in the cube, scaled until it touches the border; for L2 uniform on the sphere.
    """
    delta = 2 * uniform(rngs, shape) - 1 if norm == "linf" else normal(rngs, shape)
    lengths = norms(delta, norm).clamp_min(1e-12)
    return delta * per_sample(eps / lengths, delta)
