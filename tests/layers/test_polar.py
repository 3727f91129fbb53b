"""Polar factors by iteration: those of the singular value decomposition, and never too large."""

import pytest
import torch

from robench.layers.polar import polar


def matrix(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(5, 5), (3, 5), (5, 3), (2, 4, 4), (1, 1)])
def test_they_are_those_of_the_singular_value_decomposition(shape: tuple[int, ...]) -> None:
    u, _, vh = torch.linalg.svd(matrix(*shape), full_matrices=False)
    torch.testing.assert_close(polar(matrix(*shape), 40), u @ vh)


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 10])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e9])
def test_no_number_of_steps_makes_the_norm_larger_than_one(steps: int, condition: float) -> None:
    u, s, vh = torch.linalg.svd(matrix(8, 8))
    s = torch.logspace(0, -torch.log10(torch.tensor(condition)), 8, dtype=torch.float64)
    found = torch.linalg.svdvals(polar(u @ torch.diag(s).to(u.dtype) @ vh, steps))
    assert found.max() <= 1 + 1e-12
    if steps == 10 and condition == 1:
        assert found.min() >= 1 - 1e-12
    if steps == 10 and condition == 1e9:
        assert found.min() < 1e-3, "it says so: the layer contracts there"


def test_ten_steps_suffice_for_what_the_module_says() -> None:
    values = torch.tensor([1.0, 0.05], dtype=torch.float64)
    found = torch.linalg.svdvals(polar(torch.diag(values), 10))
    assert found.min() >= 0.999
    assert found.max() <= 1
