"""The matrices that are followed to the end contain the one whose bound is largest."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.layers.contenders import FEW, SHARE, contenders


def bounds(matrices: Tensor, steps: int) -> Tensor:
    """Return the bound on each matrix: the Schatten norm of order 2^(steps + 1)."""
    values = torch.linalg.svdvals(matrices)
    top = values.amax(1, keepdim=True)
    power = 2 ** (steps + 1)
    return ((values / top) ** power).sum(1) ** (1 / power) * top.squeeze(1)


def matrices(count: int, rows: int, columns: int, decay: float, spread: float, seed: int) -> Tensor:
    """Return complex matrices whose norms and spectra differ as told."""
    torch.manual_seed(seed)
    found = torch.randn(count, rows, columns, dtype=torch.complex128)
    u, s, vh = torch.linalg.svd(found, full_matrices=False)
    ranked = torch.exp(-decay * torch.arange(rows) * torch.rand(count, 1)) * s**0.2
    scale = torch.exp(spread * torch.rand(count, 1, dtype=torch.float64))
    return (u * (scale * ranked).unsqueeze(1)) @ vh


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 80),
    rows=st.integers(1, 8),
    wider=st.integers(0, 3),
    decay=st.sampled_from([0.0, 0.1, 3.0]),
    spread=st.sampled_from([0.0, 0.01, 1.0, 30.0]),
    steps=st.integers(0, 8),
    single=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_largest_bound_is_never_left_out(
    count: int, rows: int, wider: int, decay: float, spread: float, steps: int, single: bool,
    seed: int,
) -> None:  # fmt: skip
    batch = matrices(count, rows, rows + wider, decay, spread, seed)
    batch = batch.to(torch.complex64) if single else batch
    assert int(bounds(batch.to(torch.complex128), steps).argmax()) in contenders(batch, steps)


def test_few_are_left_where_norms_differ() -> None:
    batch = matrices(400, 6, 6, 0.1, 1.0, 0)
    found = contenders(batch, 6)
    assert 1 <= len(found) <= FEW
    assert found.tolist() == sorted(set(found.tolist()))


def test_equal_matrices_are_all_kept() -> None:
    assert len(contenders(matrices(1, 4, 4, 0.1, 0.0, 0).expand(50, 4, 4), 6)) == 50


@pytest.mark.parametrize("at", [0, 39])
def test_the_largest_is_found_in_any_share(at: int) -> None:
    side = 96
    assert 40 * side * side > 2 * SHARE
    torch.manual_seed(0)
    batch = torch.randn(40, side, side)
    batch[at] *= 1.3
    assert contenders(batch, 6).tolist() == [at]


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e20, torch.nan, torch.inf])
def test_what_float32_cannot_square_is_kept(scale: float) -> None:
    batch = torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(0))
    batch[7] *= scale
    if scale > 1 or scale != scale:
        assert 7 in contenders(batch, 6)
    assert len(contenders(batch * scale, 6)) == 20


def test_matrices_that_torch_has_yet_to_conjugate_are_taken() -> None:
    batch = torch.randn(20, 1, 1, dtype=torch.complex64)
    assert batch.conj().is_conj()
    assert contenders(batch.conj(), 6).tolist() == contenders(batch, 6).tolist()
