"""Values are those of the formulas, to the bit; gradients are those that torch finds for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from robench.kernels.orthogonal_matrices import (
    SHARE,
    batched_product,
    cayley_transform,
    newton_schulz,
)

Map = Callable[[Tensor], Tensor]


def normal(*shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def plain_cayley(matrices: Tensor) -> Tensor:
    columns = matrices.shape[-1]
    top, rest = matrices[..., :columns, :], matrices[..., columns:, :]
    skew = top - top.mH + rest.mH @ rest
    eye = torch.eye(columns, dtype=matrices.dtype).expand_as(skew)
    right = torch.cat([eye - skew, -2 * rest], -2)
    return torch.linalg.solve_ex(eye + skew, right, left=False).result


def plain_newton(matrices: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        matrices = 1.5 * matrices - 0.5 * (matrices @ matrices.mH) @ matrices
    return matrices


def agrees(ours: Map, plain: Map, start: Tensor) -> None:
    x = start.clone().requires_grad_()
    one, other = ours(x), plain(x)
    assert torch.equal(one, other)
    upstream = torch.randn_like(one)
    found, expected = (torch.autograd.grad(y, x, upstream)[0] for y in (one, other))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
    assert torch.autograd.gradcheck(ours, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(ours, (x,), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (5, 6, 4), (1, 1), (3, 1)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_the_cayley_transform(shape: tuple[int, ...], dtype: torch.dtype, scale: float) -> None:
    agrees(cayley_transform, plain_cayley, scale * normal(*shape, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (5, 4, 6), (1, 1), (1, 3)])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_the_iteration_of_newton_and_schulz(
    shape: tuple[int, ...], dtype: torch.dtype, steps: int
) -> None:
    start = normal(*shape, dtype=dtype)
    start = start / torch.linalg.matrix_norm(start, keepdim=True)
    agrees(lambda x: newton_schulz(x, steps), lambda x: plain_newton(x, steps), start)


def test_shares_of_many_matrices_are_as_the_whole() -> None:
    start = normal(3, 300, 300).to(torch.complex64)
    start = start / torch.linalg.matrix_norm(start, keepdim=True)
    assert start[:1].numel() * len(start) > SHARE
    assert torch.equal(newton_schulz(start, 2), plain_newton(start, 2))


def test_in_float32_the_gradient_of_a_layer_s_matrices_is_as_good_as_torch_s() -> None:
    start = normal(20, 16, 16)
    exact = start.clone().requires_grad_()
    upstream = normal(20, 16, 16)
    (expected,) = torch.autograd.grad(plain_cayley(exact), exact, upstream)
    x = start.to(torch.complex64).requires_grad_()
    errors = []
    for transform in (cayley_transform, plain_cayley):
        (found,) = torch.autograd.grad(transform(x), x, upstream.to(torch.complex64))
        errors.append(float((found - expected).norm() / expected.norm()))
    assert errors[0] <= 3 * errors[1] + 1e-7
    assert errors[0] < 1e-4


@pytest.mark.parametrize("lies_across", [False, True])
def test_products_are_torch_s_to_the_bit_with_its_gradients(lies_across: bool) -> None:
    matrices, vectors = normal(5, 2, 4, 3), normal(5, 2, 3, 6)
    if lies_across:
        vectors = vectors.permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0)
    given = (matrices.requires_grad_(), vectors.requires_grad_())
    ours, theirs = batched_product(*given), matrices @ vectors
    assert torch.equal(ours, theirs)
    upstream = normal(*ours.shape)
    for found, expected in zip(
        *(torch.autograd.grad(y, given, upstream) for y in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(found, expected)
    assert torch.autograd.gradgradcheck(batched_product, given, fast_mode=True)
    frozen = batched_product(matrices.detach(), vectors)
    (image,) = torch.autograd.grad(frozen, vectors, upstream)
    torch.testing.assert_close(image, matrices.mH @ upstream)
