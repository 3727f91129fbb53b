"""Values are those of the formulas, to the bit; gradients are those that torch finds for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from robench.kernels.orthogonal_matrices import cayley_transform, newton_schulz

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
