"""Search directions: orthonormal bases of image space, generated on demand."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
import torch
from scipy.fft import idct
from torch import Tensor

BasisName = Literal["pixel", "dct"]


class Basis(Protocol):
    """An orthonormal basis of image space, whose directions are numbered.

    Attributes:
        size: the number of directions.
    """

    size: int

    def directions(self, numbers: Tensor) -> Tensor:
        """Return the directions (B, C, H, W) with these numbers (B,)."""


class PixelBasis:
    """The pixel basis: one pixel of one channel per direction, C*H*W in all."""

    def __init__(self, images: Tensor, frequencies: int | None = None) -> None:
        self._like = images[:1]
        self.size = self._like.numel()

    def directions(self, numbers: Tensor) -> Tensor:
        """Return one-hot images."""
        flat = torch.zeros(len(numbers), self.size, device=self._like.device)
        flat.scatter_(1, numbers.long().to(flat.device)[:, None], 1.0)
        return flat.view(-1, *self._like.shape[1:])


class DCTBasis:
    """The DCT basis: products of orthonormal cosines (DCT-II) along both sides of one channel.

    Args:
        images: (B, C, H, W), for shape and device.
        frequencies: how many of the lowest along each side to use; None: all.
    """

    def __init__(self, images: Tensor, frequencies: int | None = None) -> None:
        _, self._channels, height, width = images.shape
        self._rows, self._columns = (
            _cosines(side, frequencies).to(images.device) for side in (height, width)
        )
        self.size = self._channels * len(self._rows) * len(self._columns)

    def directions(self, numbers: Tensor) -> Tensor:
        """Return images with a cosine in one channel and 0 in the others."""
        numbers = numbers.long().to(self._rows.device)
        row, column = len(self._rows), len(self._columns)
        plane = self._rows[numbers // column % row].unsqueeze(2)
        plane = plane * self._columns[numbers % column].unsqueeze(1)
        channel = torch.nn.functional.one_hot(numbers // (row * column), self._channels)
        return channel[:, :, None, None] * plane.unsqueeze(1)


BASES: Mapping[BasisName, Callable[[Tensor, int | None], Basis]] = {
    "pixel": PixelBasis,
    "dct": DCTBasis,
}


def _cosines(side: int, frequencies: int | None) -> Tensor:
    """Return the lowest cosines along a side as rows (frequencies, side) of unit norm."""
    rows = idct(np.eye(side), norm="ortho", axis=1)[:frequencies]
    return torch.from_numpy(np.ascontiguousarray(rows)).float()
