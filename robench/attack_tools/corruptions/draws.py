"""Random numbers for NumPy code from a sample's own generator."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Draws:
    """Draws arrays from one CPU generator.

    Args:
        rng: the generator of the sample.
    """

    def __init__(self, rng: torch.Generator) -> None:
        self._rng = rng

    def normal(self, shape: Sequence[int]) -> Floats:
        """Return standard normal numbers."""
        return self._array(torch.randn(*shape, generator=self._rng, dtype=torch.float64))

    def uniform(self, low: float, high: float, shape: Sequence[int]) -> Floats:
        """Return numbers that are uniform in [low, high)."""
        numbers = self._array(torch.rand(*shape, generator=self._rng, dtype=torch.float64))
        return low + (high - low) * numbers

    def integers(self, low: int, high: int, shape: Sequence[int]) -> NDArray[np.int64]:
        """Return integers that are uniform in [low, high)."""
        numbers: NDArray[np.int64] = torch.randint(
            low, high, tuple(shape), generator=self._rng
        ).numpy()
        return numbers

    def poisson(self, rates: Floats) -> Floats:
        """Return Poisson numbers with these rates."""
        return self._array(torch.poisson(torch.from_numpy(rates), generator=self._rng))

    @staticmethod
    def _array(numbers: torch.Tensor) -> Floats:
        array: Floats = numbers.numpy()
        return array
