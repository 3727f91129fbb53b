"""Convolutions on small maps as matrix products.

On a CPU in bf16, torch's convolutions on maps of 4x4 pixels take twice as long as the equivalent
matrix product,

    y[p]  =  sum over taps t of  w[t] x[s p + d t - padding],

(pixels, taps * in) x (taps * in, out), and so do the image gradients, which are convolutions with
the flipped kernel. The weight gradients take four to six times as long, and on maps of 8x8 still a
third longer (torch 2.14, 512 channels, batches of 128). Larger maps and float32 have no such gap.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, int]

MAX_PIXELS = 16
"""Pixels of a map up to which the matrix product is faster."""

MAX_PIXELS_OF_WEIGHT_GRADIENT = 64
"""Pixels of a map up to which the matrix product is faster for the weight gradient."""

MAX_GATHERED = 2**22
"""Elements of windows copied at a time, a few megabytes."""


def is_small(map_: Tensor, limit: int = MAX_PIXELS) -> bool:
    """Return whether a map (B, C, H, W) is small enough, in bf16 on a CPU."""
    pixels = map_.shape[-2] * map_.shape[-1]
    return map_.dtype == torch.bfloat16 and map_.device.type == "cpu" and pixels <= limit


def reach(weight: Tensor, dilation: Pair) -> Pair:
    """Return d (k - 1), the pixels beyond one that a kernel (out, in, kh, kw) covers."""
    return dilation[0] * (weight.shape[2] - 1), dilation[1] * (weight.shape[3] - 1)


def windows(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Return the input window at each output pixel, (B, C, H, W) -> (B, h, w, kh, kw, C)."""
    (p1, p2), (s1, s2), (d1, d2) = padding, stride, dilation
    (r1, r2), (kh, kw) = reach(weight, dilation), weight.shape[2:]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, p2, p2, p1, p1)).contiguous()
    batch, rows, columns, channels = padded.shape
    b, r, c, _ = padded.stride()
    return padded.as_strided(
        (batch, (rows - r1 - 1) // s1 + 1, (columns - r2 - 1) // s2 + 1, kh, kw, channels),
        (b, r * s1, c * s2, r * d1, c * d2, 1),
    )


def multiply(seen: Tensor, matrix: Tensor) -> Tensor:
    """Multiply windows by a kernel, (B, h, w, kh, kw, in) x (kh kw in, out) -> (B, out, h, w)."""
    images = max(1, MAX_GATHERED // max(1, seen[:1].numel()))
    found = [part.flatten(3).flatten(0, 2) @ matrix for part in seen.split(images)]
    return torch.cat(found).view(*seen.shape[:3], matrix.shape[1]).permute(0, 3, 1, 2)


def kernel_matrix(weight: Tensor) -> Tensor:
    """Return the matrix of a convolution, (out, in, kh, kw) -> (kh kw in, out)."""
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1).T


def flipped_kernel_matrix(weight: Tensor) -> Tensor:
    """Return the matrix of its image gradient, with the kernel flipped, -> (kh kw out, in)."""
    return weight.flip(2, 3).permute(2, 3, 0, 1).reshape(-1, weight.shape[1])


def correlate(gradient: Tensor, seen: Tensor) -> Tensor:
    """Return the weight gradient, (out, in, kh, kw) in channels_last, a few taps at a time.

    Args:
        gradient: gradient of the result, (B, out, h, w).
        seen: result of :func:`windows`, (B, h, w, kh, kw, in).
    """
    pixels = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1])
    # oneDNN is faster on the copy than on the transpose.
    by_channel = pixels.T.contiguous()
    taps = seen.unbind(3)
    if taps[0].numel() > MAX_GATHERED:
        taps = tuple(tap for row in taps for tap in row.split(1, 3))
    found = [by_channel @ tap.reshape(len(pixels), math.prod(tap.shape[3:])) for tap in taps]
    return torch.cat(found, 1).view(-1, *seen.shape[3:]).permute(0, 3, 1, 2)
