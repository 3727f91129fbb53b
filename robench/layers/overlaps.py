"""Overlaps of a convolution's filters with their own shifts: the Gram matrix of its operator.

    G[o, o', l] = sum_i sum_t w[o, i, t + s l] w[o', i, t]

is the inner product of filter o with filter o' shifted by l output pixels. The rows of the
convolution's operator are orthonormal, away from the border, if and only if G is 1 for o = o' and
l = 0, and 0 elsewhere. By Gershgorin's circle theorem, the sum of |G| over o' and l bounds the
operator's squared norm, for any size and for zero and circular padding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.layers.circular import dilation_of

Lag = tuple[int, int]


def dilate(weight: Tensor, dilation: Lag) -> Tensor:
    """Return the kernel with its dilation zeros written out, of sides d (k - 1) + 1."""
    if dilation == (1, 1):
        return weight
    sides = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[-2:], strict=True)]
    full = weight.new_zeros(*weight.shape[:2], *sides)
    full[..., :: dilation[0], :: dilation[1]] = weight
    return full


def overlaps(weight: Tensor, *, stride: Lag = (1, 1), groups: int = 1) -> Tensor:
    """Return G at all lags; the center is lag 0.

    Args:
        weight: (out, in / groups, kh, kw), already dilated.
        stride: s of the convolution.
        groups: number of groups; filters of different groups do not overlap and are left out.

    Returns:
        (groups, out / groups, out / groups, L1, L2), L = 2 floor((k - 1) / s) + 1.
    """
    out, inputs, kh, kw = weight.shape
    rows = out // groups
    shifted = weight.view(groups, rows, inputs, kh, kw).transpose(0, 1).flatten(1, 2)
    reach = [(k - 1) // s * s for k, s in zip((kh, kw), stride, strict=True)]
    lags = F.conv2d(shifted, weight, None, stride, reach, 1, groups)
    return lags.view(rows, groups, rows, *lags.shape[-2:]).transpose(0, 1)


def orthogonality_gap(conv: nn.Conv2d) -> Tensor:
    """Return G minus the G of an orthogonal convolution; all zero if ``conv`` is orthogonal.

    If the convolution has more outputs than inputs that it sees, the columns of the operator are
    compared instead: those of the pixels within one stride.
    """
    dilation, stride = dilation_of(conv), (conv.stride[0], conv.stride[1])
    weight = dilate(conv.weight, dilation)
    # Within a stride, only the pixels that the kernel touches have a column.
    rows, columns = (
        sorted({d * t % s for t in range(k)})
        for k, d, s in zip(conv.kernel_size, dilation, stride, strict=True)
    )
    if conv.out_channels <= conv.in_channels * len(rows) * len(columns):
        gram = overlaps(weight, stride=stride, groups=conv.groups)
    else:
        phases = [weight[..., a :: stride[0], b :: stride[1]] for a in rows for b in columns]
        gram = overlaps(_transposed(phases, conv.groups), groups=conv.groups)
    eye = torch.zeros_like(gram)
    center = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    eye[..., gram.shape[-2] // 2, gram.shape[-1] // 2] = center
    return gram - eye


def _transposed(phases: list[Tensor], groups: int) -> Tensor:
    """Return the kernel of the transposed operator, with the phases of the stride as channels."""
    height, width = phases[0].shape[-2:]  # the first is the largest
    padded = [F.pad(p, (0, width - p.shape[-1], 0, height - p.shape[-2])) for p in phases]
    stacked = torch.stack(padded, 2).flatten(1, 2)
    split = stacked.unflatten(0, (groups, len(stacked) // groups))
    return split.transpose(1, 2).flatten(0, 1)
