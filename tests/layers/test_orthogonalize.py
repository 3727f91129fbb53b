"""Newton's and Björck's iterations are scalar recursions on the singular values."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.layers.orthogonalize import bjorck, inverse_root_times, newton


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 5), extra=st.integers(0, 5), steps=st.integers(0, 12), seed=st.integers(0)
)
def test_newton_moves_each_singular_value_by_itself(
    rows: int, extra: int, steps: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed % 1000)
    matrix = torch.randn(rows, rows + extra, dtype=torch.float64, generator=generator)
    gram = matrix @ matrix.T
    size = torch.linalg.matrix_norm(gram)
    found = inverse_root_times(matrix, gram / size, steps) / size.sqrt()
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    b = torch.ones_like(s)
    for _ in range(steps):
        b = 1.5 * b - 0.5 * b**3 * s**2 / size
    torch.testing.assert_close(found, u * (b * s / size.sqrt()) @ v, atol=1e-11, rtol=0)


def test_many_steps_of_newton_do_no_harm() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(20, 30)
    matrix[0] = matrix[1] + 1e-2 * matrix[0]  # ill-conditioned
    gram = matrix @ matrix.T
    size = torch.linalg.matrix_norm(gram)
    found = inverse_root_times(matrix, gram / size, 60) / size.sqrt()
    torch.testing.assert_close(found @ found.T, torch.eye(20), atol=0.02, rtol=0)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 6), columns=st.integers(1, 6), steps=st.integers(0, 12))
def test_bjorck_moves_each_singular_value_by_itself(rows: int, columns: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(100 * rows + columns)
    matrix = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s = s / (matrix.abs().sum(0).max() * matrix.abs().sum(1).max()).sqrt()
    for _ in range(steps):
        s = 1.5 * s - 0.5 * s**3
    torch.testing.assert_close(bjorck(matrix, steps), u * s @ v, atol=1e-12, rtol=0)
    assert s.max() <= 1 + 1e-12


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 3, 5)])
def test_bjorck_converges_to_the_nearest_orthogonal_matrix(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(*shape, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(bjorck(matrix, 60), u @ v, atol=1e-9, rtol=0)


def test_zero_stays_zero() -> None:
    assert bjorck(torch.zeros(3, 4), 5).abs().max() == 0


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 5),
    extra=st.integers(0, 4),
    steps=st.integers(0, 12),
    scale=st.sampled_from([0.01, 1.0, 100.0]),
)
def test_onis_iteration_is_a_recursion_of_each_singular_value(
    rows: int, extra: int, steps: int, scale: float
) -> None:
    matrix = scale * normal(rows, rows + extra)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    eigenvalues = s**2 + 1e-5
    size = torch.linalg.vector_norm(eigenvalues)
    b = torch.ones_like(s)
    for _ in range(steps):
        b = 1.5 * b - 0.5 * b**3 * eigenvalues / size
    expected = u * (b * s / size.sqrt()) @ v
    torch.testing.assert_close(newton(matrix, steps), expected, atol=1e-12, rtol=1e-12)


def test_onis_iteration_converges_to_the_polar_factor() -> None:
    matrix = 100 * normal(4, 7)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(newton(matrix, 25), u @ v, atol=1e-8, rtol=0)


@pytest.mark.parametrize(("largest", "converges"), [(4.9, True), (5.1, False)])
def test_without_division_onis_iteration_diverges_beyond_eigenvalues_of_five(
    largest: float, converges: bool
) -> None:
    u, _, v = torch.linalg.svd(normal(3, 5), full_matrices=False)
    s = torch.tensor([largest, 1.0, 0.5], dtype=torch.float64).sqrt()
    found = newton(u * s @ v, 30, divide=False)
    polar = u @ v / torch.linalg.vector_norm(s**2 + 1e-5).sqrt()  # not of norm 1
    assert torch.allclose(found, polar, atol=1e-4) == converges


@pytest.mark.parametrize("function", [bjorck, newton])
def test_matrices_of_a_batch_do_not_see_each_other(function: Any) -> None:
    batch = normal(3, 4, 6)
    batch[1] *= 50
    apart = torch.stack([function(matrix, 5) for matrix in batch])
    torch.testing.assert_close(function(batch, 5), apart, atol=1e-13, rtol=0)


@pytest.mark.parametrize("function", [bjorck, newton])
def test_iterations_are_differentiable(function: Any) -> None:
    assert torch.autograd.gradcheck(lambda m: function(m, 4), (normal(2, 3, 4).requires_grad_(),))


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_bjorck_does_not_depend_on_the_scale(scale: float) -> None:
    matrix = normal(4, 6)
    torch.testing.assert_close(bjorck(scale * matrix, 7), bjorck(matrix, 7), atol=1e-12, rtol=0)
