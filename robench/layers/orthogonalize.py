"""Iterations that drive the singular values of matrices to 1.

Matrices are batched as (..., rows, columns). All iterations are differentiable and stateless.
"""

import torch
from torch import Tensor

from robench.layers.nonzero import nonzero


def inverse_root_times(matrix: Tensor, gram: Tensor, steps: int) -> Tensor:
    """Return B_T Z for rows <= columns, with B_T -> S^(-1/2) by Newton's iteration.

        B_0 = I,    B_{t+1} = 1.5 B_t - 0.5 B_t^3 S

    which converges if the eigenvalues of S are in (0, 3) (ONI, arXiv:2004.00917, eq. 6). It is
    computed in the coupled form Y = B S, B <- (1.5 I - 0.5 B Y) B, Y <- Y (1.5 I - 0.5 B Y), which
    is equal up to rounding: in the form above, rounding errors grow without bound with each step
    (Higham, Functions of Matrices, 2008, section 6.4).

    Args:
        matrix: Z, (..., rows, columns).
        gram: S, (..., rows, rows).
        steps: T.
    """
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand_as(gram)
    root, rest = eye, gram
    for step in range(steps):
        factor = 1.5 * eye - 0.5 * root @ rest
        root = factor @ root
        if step < steps - 1:
            rest = rest @ factor
    return root @ matrix


def newton(matrix: Tensor, steps: int, *, divide: bool = True) -> Tensor:
    """Return B_T Z / sqrt(||S||_F) for rows <= columns, B_T for S / ||S||_F, S = Z Z^T + 1e-5 I.

    Args:
        matrix: Z, (..., rows, columns).
        steps: T.
        divide: if false, B_T is for S itself and diverges if S has an eigenvalue above 5; the
            released code of ONI does this for kernels with more rows than columns.
    """
    eye = torch.eye(matrix.shape[-2], dtype=matrix.dtype, device=matrix.device)
    gram = matrix @ matrix.mT + 1e-5 * eye
    size = torch.linalg.matrix_norm(gram, keepdim=True)
    return inverse_root_times(matrix, gram / size if divide else gram, steps) / size.sqrt()


def bjorck(matrix: Tensor, steps: int) -> Tensor:
    """Return the matrix after Björck and Bowie's iteration toward the nearest orthogonal one.

        W <- W / sqrt(||W||_1 ||W||_inf),    then    W <- 1.5 W - 0.5 W W^T W,    steps times.

    The divisor is an upper bound on the spectral norm, so the iteration converges; the norm stays
    at most 1 for any number of steps.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return bjorck(matrix.mT, steps).mT
    sizes = matrix.abs()
    bound = sizes.sum(-1).amax(-1) * sizes.sum(-2).amax(-1)
    matrix = matrix / nonzero(bound, power=2).sqrt()[..., None, None]
    for _ in range(steps):
        matrix = 1.5 * matrix - 0.5 * (matrix @ matrix.mT) @ matrix
    return matrix
