"""Finding the matrices of a batch that may have the largest norm, before it is bounded.

After t Gram iterations, G_{t+1} = G_t G_t^H, the bound on a matrix is ||G_t||_F^(1/2^t). Bounds
only decrease from step to step, so that a matrix is out if its bound is below the norm of
another one. For that, ||G_t v|| / ||v|| is never too large, and close to the norm of G_t if v is a
column of G_t: it is what 2^t steps of power iteration have left of a unit vector.
"""

import math

import torch
from torch import Tensor

FEW = 8
"""So many matrices are not worth looking for fewer."""

SHARE = 2**17
"""Numbers that are followed at a time: they stay in a CPU's cache from step to step."""

MARGIN = 1e-3
"""By how much the logarithm of a bound must be smaller: float32 rounds a hundredth of it."""

VANISHING = 1e-15
"""Norms below, and above its inverse, are not looked at: their squares leave float32."""


@torch.no_grad()
def contenders(matrices: Tensor, steps: int) -> Tensor:
    """Return the indices of the matrices that may have the largest bound after so many steps.

    They are chosen by their values: on a GPU, the host would wait for them.

    Args:
        matrices: (N, rows, columns), rows <= columns, on a CPU.
        steps: Gram iterations of the bound.
    """
    indices = torch.arange(len(matrices))
    if len(matrices) <= FEW:
        return indices
    share = max(1, SHARE // matrices[0].numel())
    bounds, largest = [], -math.inf
    for part in matrices.split(share):
        found, largest = _followed(part.contiguous(), steps, largest)
        bounds.append(found)
    return indices[torch.cat(bounds) >= largest - MARGIN]


def _followed(gram: Tensor, steps: int, largest: float) -> tuple[Tensor, float]:
    """Return a bound on the norm of each matrix, and the largest norm that is known, as logarithms.

    A bound is -inf if it is below that norm.

    Args:
        gram: the matrices, contiguous.
        steps: after how many steps the bounds may be returned.
        largest: the largest norm that is known of other matrices.
    """
    bounds = gram.new_full((len(gram),), torch.inf, dtype=gram.real.dtype)
    left, offset = torch.arange(len(gram)), 0.0  # a bound is that of the scaled one plus the offset
    for step in range(steps):
        norms = _frobenius(gram)
        scale = float(norms.max())
        if not VANISHING < scale < 1 / VANISHING:  # also if one has a NaN
            return bounds, largest
        own = norms.log() / 2**step + offset
        if step > 0:
            found = _log_norm(gram[norms.argmax()]) / 2**step + offset
            largest = max(largest, found)
        keep = own >= largest - MARGIN
        bounds[left] = own.where(keep, -torch.inf)
        if not keep.all():
            left, gram = left[keep], gram[keep]
        if len(left) == 0:
            break
        # One scale for all: a matrix that it makes vanish was out long before.
        gram = (gram @ (gram if step else gram.mH)).div_(scale**2)
        offset += math.log(scale) / 2**step
    return bounds, largest


def _log_norm(gram: Tensor) -> float:
    """Return the logarithm of a lower bound on the norm of a positive semidefinite matrix."""
    column = gram[:, gram.diagonal().real.argmax()]
    reached = torch.linalg.vector_norm(gram @ column) / torch.linalg.vector_norm(column)
    return math.log(float(reached))


def _frobenius(matrices: Tensor) -> Tensor:
    """Return the norms of contiguous matrices, (N,): for complex ones, torch's takes long."""
    # Only matrices of one entry are contiguous and yet to be conjugated.
    parts = torch.view_as_real(matrices.resolve_conj()) if matrices.is_complex() else matrices
    return torch.linalg.vector_norm(parts.flatten(1), dim=1)
