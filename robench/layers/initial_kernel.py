"""The first kernel of a layer whose kernel has another shape than that of the convolution."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def initial_kernel(conv: nn.Conv2d, rows: int, columns: int) -> nn.Parameter:
    """Return a kernel (groups * rows, columns, kh, kw) for the place of a convolution's.

    It is the first ``rows`` filters of each group of ``conv``, so that the network's own way to
    initialize stays, or drawn from torch's generator, as a convolution's is, if ``conv`` has not so
    many filters or another number of channels.
    """
    filters: Tensor = conv.weight.unflatten(0, (conv.groups, -1))
    if rows <= filters.shape[1] and columns == filters.shape[2]:
        return nn.Parameter(filters[:, :rows].flatten(0, 1).clone())
    kernel = conv.weight.new_empty(conv.groups * rows, columns, *conv.kernel_size)
    nn.init.kaiming_uniform_(kernel, a=math.sqrt(5))
    return nn.Parameter(kernel)
