"""How ``torch.autocast`` computes convolutions on a CPU, and how robench does it instead."""

from functools import lru_cache

import torch
from torch import Tensor

from robench.system.devices import has_bf16


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """Return the dtype to which a convolution of ``x`` is cast; None if it is not cast.

    That is the case if autocast is off, on other devices, and for float64, which autocast ignores.
    """
    if x.device.type != "cpu" or x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):
        return None
    return torch.get_autocast_dtype("cpu")


def products_of(x: Tensor) -> Tensor:
    """Return a tensor as an operand of products: bf16 in float32, where a CPU has none of bf16.

    A product of two bf16 numbers is exact in float32, in which the hardware sums them, too; so the
    results are as good. Without such hardware, torch's own way takes 6 to 80 times as long (torch
    2.14, AVX2). Results are to be rounded to bf16. Other dtypes and other devices stay.
    """
    if x.dtype != torch.bfloat16 or x.device.type != "cpu" or has_products_of_bf16():
        return x
    return x.float()


@lru_cache(maxsize=1)
def has_products_of_bf16() -> bool:
    """Return whether this machine's CPU has instructions for products of bf16 numbers."""
    return has_bf16(torch.device("cpu"))
