"""Random squares as proposals of a search (Andriushchenko et al. 2020, Algorithms 2 and 3).

In Linf a square of one color is added, from one border of the ball to the other. In L2 a square
takes up what length the ball leaves, and that of another square, and gets a wave of two bumps.
Squares may touch every border of the image, as in the paper; in the authors' code and in
torchattacks the last row and column are never reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.attack_tools.sample_state import contiguous
from robench.attack_tools.threat_models import Norm, norms, per_sample, projection

HALVED_AFTER = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the queries after which the area of the squares is halved."""


class Patches:
    """The proposals of the paper; each takes one row of uniform random numbers per sample.

    Args:
        norm: norm of the perturbation ball.
        eps: its radius.
        area: the share of an image that the first squares cover.
        queries: the number of queries of a search, over which the squares shrink.
        images: (N, C, H, W) in [0, 1].
    """

    def __init__(self, norm: Norm, eps: float, area: float, queries: int, images: Tensor) -> None:
        self.norm, self.eps, self.area, self.queries, self.images = norm, eps, area, queries, images
        self.into_ball = projection(images, norm, eps)
        self.channels, self.height, self.width = images.shape[1:]
        self.shorter = min(self.height, self.width)
        linf = norm == "linf"
        self.numbers = (2 if linf else 5) + self.channels
        """How many random numbers a proposal takes."""
        self.tile = max(1, min(self.height // 5, self.width))
        tiles = (self.height // self.tile) * (self.width // self.tile)
        self.starts = self.channels * (self.width if linf else tiles)
        """How many random numbers a start takes."""
        self.wave_sizes = torch.tensor(self._sizes())
        self.waves = torch.zeros(0) if linf else _waves(self._sizes())

    def start(self, numbers: Tensor, rows: Tensor) -> Tensor:
        """Return the first points: vertical stripes (Linf) or a grid of waves (L2)."""
        x, signs = self.images[rows], _signs(numbers).to(self.images.device)
        if self.norm == "linf":
            stripes = signs.view(-1, self.channels, 1, self.width)
            return self.into_ball(x + self.eps * stripes, contiguous(rows))
        down, across = self.height // self.tile, self.width // self.tile
        grid = signs.view(-1, self.channels, down, across)
        grid = grid.repeat_interleave(self.tile, 2).repeat_interleave(self.tile, 3)
        waves = grid * _wave(self.tile).to(x.device).repeat(down, across)
        delta = torch.zeros_like(x)
        top, left = (self.height - waves.shape[2]) // 2, (self.width - waves.shape[3]) // 2
        delta[:, :, top : top + waves.shape[2], left : left + waves.shape[3]] = waves
        return self._on_sphere(delta, x)

    def propose(self, best: Tensor, asked: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        """Return the next points to try.

        Args:
            best: the best points so far (B, C, H, W).
            asked: how many queries were made for each (B,).
            numbers: random numbers (B, ``self.numbers``).
            rows: the samples.
        """
        sizes = self.sizes(asked)
        signs = _signs(numbers[:, -self.channels :]).to(best.device)[:, :, None, None]
        window = self._window(sizes, numbers[:, 0], numbers[:, 1])
        if self.norm == "linf":
            change = 2 * self.eps * signs * window.mask
            return self.into_ball(best + change, contiguous(rows))
        other = self._window(sizes, numbers[:, 2], numbers[:, 3])
        wave = self._waves(sizes, window, numbers[:, 4] < 0.5)
        x = self.images[contiguous(rows)]
        delta = best - x
        old = delta / (1e-12 + _size(delta * window.mask))
        new = (wave * signs + old) * window.mask
        unused = (self.eps**2 - _size(delta).square().sum(1, keepdim=True)).clamp_min(0)
        taken = _size(delta * torch.maximum(window.mask, other.mask)).square()
        new = new / (1e-12 + _size(new)) * (unused / self.channels + taken).sqrt()
        moved = torch.where(window.mask > 0, new, delta * (1 - other.mask))
        return self._on_sphere(moved, x)

    def sizes(self, asked: Tensor) -> Tensor:
        """Return the side of each sample's next square, (B,), in pixels."""
        passed = [asked > after * self.queries for after in HALVED_AFTER]
        return self._side(self.area * 0.5 ** torch.stack(passed).sum(0))

    def _sizes(self) -> list[int]:
        halved = self.area * 0.5 ** torch.arange(len(HALVED_AFTER) + 1)
        return sorted(set(self._side(halved).tolist()))

    def _side(self, area: Tensor) -> Tensor:
        side, largest = (area * self.height * self.width).sqrt().round().long(), self.shorter
        if self.norm == "linf":
            return side.clamp(1, largest)
        # A wave is made of odd squares of at least three pixels.
        return (side + (side % 2 == 0).long()).clamp(min(3, largest), largest - (largest % 2 == 0))

    def _window(self, sizes: Tensor, down: Tensor, across: Tensor) -> "_Window":
        """Return squares at random places, given random numbers (B,) for their places."""
        top, left = (
            (number * (length - sizes + 1)).long()
            for number, length in ((down, self.height), (across, self.width))
        )
        rows = torch.arange(self.height) - top[:, None]
        columns = torch.arange(self.width) - left[:, None]
        inside = [(at >= 0) & (at < sizes[:, None]) for at in (rows, columns)]
        mask = (inside[0][:, None, :, None] & inside[1][:, None, None, :]).float()
        return _Window(mask.to(self.images.device), rows, columns)

    def _waves(self, sizes: Tensor, window: "_Window", upright: Tensor) -> Tensor:
        """Return a wave in each square, (B, 1, H, W), with anything outside of it."""
        kinds = torch.searchsorted(self.wave_sizes, sizes)[:, None, None]
        last = self.waves.shape[-1] - 1
        rows = window.rows.clamp(0, last)[:, :, None]
        columns = window.columns.clamp(0, last)[:, None, :]
        first = torch.where(upright[:, None, None], rows, columns)
        second = torch.where(upright[:, None, None], columns, rows)
        return self.waves[kinds, first, second][:, None].to(self.images.device)

    def _on_sphere(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return x plus delta scaled to the radius, in [0, 1]."""
        length = per_sample(norms(delta, "l2").clamp_min(1e-12), delta)
        return (x + delta * (self.eps / length)).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class _Window:
    """Squares: their masks (B, 1, H, W), and pixels' places relative to them, (B, H) and (B, W)."""

    mask: Tensor
    rows: Tensor
    columns: Tensor


def _signs(numbers: Tensor) -> Tensor:
    """Return -1 or 1 for each of some numbers that are uniform in [0, 1)."""
    return 2.0 * (numbers < 0.5) - 1


def _size(delta: Tensor) -> Tensor:
    """Return the Euclidean length of each channel, (B, C, H, W) -> (B, C, 1, 1)."""
    return delta.square().sum((2, 3), keepdim=True).sqrt()


def _waves(sizes: Sequence[int]) -> Tensor:
    """Return waves of several sizes, padded with zeros to that of the largest one."""
    waves = torch.zeros(len(sizes), max(sizes), max(sizes))
    for i, size in enumerate(sizes):
        waves[i, :size, :size] = _wave(size)
    return waves


def _wave(size: int) -> Tensor:
    """Return the paper's square for L2, of length 1: two opposite bumps, one above the other."""
    half = size // 2
    wave = torch.cat([_bump(half, size), -_bump(size - half, size)])
    return wave / wave.norm()


def _bump(height: int, width: int) -> Tensor:
    """Return a sum of centered rectangles of growing size and falling weight (Equation 2)."""
    bump = torch.zeros(height, width)
    top, left = height // 2, width // 2
    for i in range(max(height, width) // 2 + 1):
        rows = slice(max(top - i, 0), min(top + i + 1, height))
        bump[rows, max(left - i, 0) : min(left + i + 1, width)] += 1 / (i + 1) ** 2
    return bump / bump.norm().clamp_min(1e-12)
