"""Norms to divide by."""

import torch
from torch import Tensor

TINY = 1e-9
"""Norms of kernels up to this count as zero; those of trained kernels are above 0.01."""


def nonzero(norms: Tensor, power: int = 1) -> Tensor:
    """Return norms of kernels to divide by, with 1 in the place of those that are almost zero.

    A kernel of almost no norm then stays as it is. Scaled up to norm 1, it would get gradients as
    large as the inverse of its norm, and a kernel of zeros infinite ones.

    Args:
        norms: norms, or powers of norms.
        power: the power.
    """
    return torch.where(norms > TINY**power, norms, torch.ones_like(norms))
