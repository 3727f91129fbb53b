"""Cosines and sines of the discrete Fourier transform."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def circle(rows: Sequence[int], columns: Sequence[int], n: int) -> tuple[Tensor, Tensor]:
    """Return cos and sin of 2 pi r c / n over sqrt(n), in float64; phases are reduced exactly."""
    phase = torch.outer(torch.tensor(list(rows)), torch.tensor(list(columns))) % n
    angle = 2 * math.pi * phase.double() / n
    return angle.cos() / math.sqrt(n), angle.sin() / math.sqrt(n)
