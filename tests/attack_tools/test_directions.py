"""Search directions: orthonormal bases of image space."""

import pytest
import torch
from scipy.fft import dctn

from robench.attack_tools.directions import BASES, DCTBasis


@pytest.mark.parametrize("name", ["pixel", "dct"])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 6), (2, 5, 3)])
def test_the_directions_are_orthonormal(name: str, shape: tuple[int, int, int]) -> None:
    basis = BASES[name](torch.zeros(2, *shape), None)  # type: ignore[index]
    directions = basis.directions(torch.arange(basis.size)).flatten(1)
    assert directions.shape[0] == directions.shape[1]
    torch.testing.assert_close(
        directions @ directions.T, torch.eye(basis.size), atol=1e-5, rtol=1e-5
    )


def test_a_dct_direction_has_one_coefficient() -> None:
    basis = DCTBasis(torch.zeros(1, 2, 4, 6))
    for number in (0, 7, 30, 47):
        image = basis.directions(torch.tensor([number]))[0].numpy()
        coefficients = dctn(image, axes=(1, 2), norm="ortho").reshape(-1)
        assert abs(coefficients[number] - 1) < 1e-5
        assert abs(coefficients).sum() < 1 + 1e-4


def test_low_frequencies_are_the_first_rows_and_columns() -> None:
    basis = DCTBasis(torch.zeros(1, 3, 8, 8), frequencies=2)
    assert basis.size == 3 * 2 * 2
    smooth = basis.directions(torch.arange(basis.size))
    steps = (smooth[..., 1:] - smooth[..., :-1]).abs().amax()
    assert steps < 0.1
