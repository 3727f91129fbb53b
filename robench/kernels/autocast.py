"""The dtype in which ``torch.autocast`` computes convolutions on a CPU."""

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """Return the dtype to which a convolution of ``x`` is cast; None if it is not cast.

    That is the case if autocast is off, on other devices, and for float64, which autocast ignores.
    """
    if x.device.type != "cpu" or x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):
        return None
    return torch.get_autocast_dtype("cpu")
