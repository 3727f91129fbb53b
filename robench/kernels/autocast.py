"""The dtype in which ``torch.autocast`` computes convolutions on a CPU."""

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """Return what a convolution of ``x`` is cast to; None where it is left as it is.

    Autocast is off there, on another device, or leaves float64 alone.
    """
    if x.device.type != "cpu" or x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):
        return None
    return torch.get_autocast_dtype("cpu")
