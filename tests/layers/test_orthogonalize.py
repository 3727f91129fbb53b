"""Newton's and Björck's iterations are scalar recursions on the singular values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.layers.orthogonalize import bjorck, inverse_root_times


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
