"""Orthogonal matrices made of others, with gradients that are products of what is already known.

Products of small matrices copy what does not lie matrix by matrix, forward and backward; here it is
copied once. Matrices are batched as (F, ..., rows, columns), real or complex, with rows >= columns
for the Cayley transform and rows <= columns for Newton's iteration.
"""

from typing import Any

import torch
from torch import Tensor

SHARE = 2**17
"""Numbers that are iterated at a time on a CPU: they stay in its cache from step to step."""


def cayley_transform(matrices: Tensor) -> Tensor:
    """Return [(I - A) (I + A)^-1 ; -2 V (I + A)^-1] with A = U - U^H + V^H V, of W = [U; V]."""
    found: Tensor = _Cayley.apply(matrices.contiguous())
    return found


def newton_schulz(matrices: Tensor, steps: int) -> Tensor:
    """Return B_T with B_0 = B, B_{t+1} = 1.5 B_t - 0.5 B_t B_t^H B_t."""
    if steps == 0:
        return matrices
    matrices = matrices.contiguous()
    share = max(1, SHARE // max(1, matrices[:1].numel()))
    if matrices.device.type != "cpu" or matrices.ndim < 3 or len(matrices) <= share:
        found: Tensor = _NewtonSchulz.apply(matrices, steps)
        return found
    return torch.cat([_NewtonSchulz.apply(part, steps) for part in matrices.split(share)])


def batched_product(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Return ``matrices @ vectors``, (..., out, in) and (..., in, n) -> (..., out, n)."""
    if matrices.device.type != "cpu":
        return matrices @ vectors
    found: Tensor = _Product.apply(matrices, vectors.contiguous())
    return found


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrices: Tensor, vectors: Tensor) -> Tensor:
        ctx.save_for_backward(matrices, vectors)
        return matrices @ vectors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (matrices, vectors), gradient = ctx.saved_tensors, gradients[0].contiguous()
        return (
            gradient @ vectors.mH if ctx.needs_input_grad[0] else None,
            matrices.mH @ gradient if ctx.needs_input_grad[1] else None,
        )


class _Cayley(torch.autograd.Function):
    """The inverse of I + A, which the gradient needs, is half of the result's first block plus I.

    With X = Y S^-1 and a gradient g of X, that of Y is g S^-H, and that of S is -X^H (g S^-H).
    """

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        columns = matrices.shape[-1]
        top, rest = matrices[..., :columns, :], matrices[..., columns:, :]
        skew = top - top.mH + rest.mH @ rest
        eye = torch.eye(columns, dtype=matrices.dtype, device=matrices.device).expand_as(skew)
        sides = (eye + skew, torch.cat([eye - skew, -2 * rest], -2))
        # Never singular; torch's own check would make the host wait for a GPU.
        found = torch.linalg.solve_ex(*sides, left=False).result
        ctx.save_for_backward(matrices, found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (matrices, found) = gradients, ctx.saved_tensors
        columns = matrices.shape[-1]
        eye = torch.eye(columns, dtype=found.dtype, device=found.device)
        inverse = (found[..., :columns, :] + eye) / 2
        of_right = gradient @ inverse.mH
        of_skew = -(found.mH @ of_right) - of_right[..., :columns, :]
        rest = matrices[..., columns:, :]
        of_rest = rest @ (of_skew + of_skew.mH) - 2 * of_right[..., columns:, :]
        return torch.cat([of_skew - of_skew.mH, of_rest], -2)


class _NewtonSchulz(torch.autograd.Function):
    """The gradient of a step, 1.5 g - 0.5 (B B^H g + S B) with S = g B^H + B g^H: three products.

    torch's own takes four, since it does not see that B B^H is Hermitian.
    """

    @staticmethod
    def forward(ctx: Any, matrices: Tensor, steps: int) -> Tensor:
        ctx.steps, kept, found = steps, [], matrices
        for _ in range(steps):
            gram = found @ found.mH
            kept += [found, gram]
            found = 1.5 * found - 0.5 * gram @ found
        ctx.save_for_backward(*kept)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [found] = gradients
        kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of this gradient is wanted, too
            return _differentiable(kept[0], ctx.steps, found), None
        for matrix, gram in zip(kept[-2::-2], kept[::-2], strict=True):
            product = found @ matrix.mH
            found = 1.5 * found - 0.5 * (gram @ found + (product + product.mH) @ matrix)
        return found, None


def _differentiable(start: Tensor, steps: int, gradient: Tensor) -> Tensor:
    with torch.enable_grad():
        found = start
        for _ in range(steps):
            found = 1.5 * found - 0.5 * (found @ found.mH) @ found
        return torch.autograd.grad(found, start, gradient, create_graph=True)[0]
