"""``torch.autocast`` to bf16 on CPUs without instructions for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from robench.kernels.autocast import has_products_of_bf16

_ATEN = torch.ops.aten
_PRODUCTS = (
    _ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv2d.padding, _ATEN.conv3d.default,
    _ATEN.conv_transpose1d.default, _ATEN.conv_transpose2d.input, _ATEN.conv_transpose3d.input,
    _ATEN.linear.default, _ATEN.matmul.default, _ATEN.mm.default, _ATEN.bmm.default,
    _ATEN.addmm.default, _ATEN.baddbmm.default, _ATEN.scaled_dot_product_attention.default,
)  # fmt: skip
"""What autocast casts to bf16, but for recurrent layers."""


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Have autocast round the operands of products to bf16 and multiply them in float32.

    A product of two bf16 numbers is exact in float32, in which hardware with instructions for bf16
    sums them, too; so the results, rounded to bf16, are as good, and so are the gradients. Without
    such hardware, torch's own way takes 2 to 80 times as long (torch 2.14, AVX2). Where there is
    such hardware, and on other devices, nothing changes. This is not to be nested.

    It replaces what torch registered for autocast, so all threads of the process see it; unlike a
    mode it costs nothing at other operations. Kernels with a backward of their own do the same by
    :func:`robench.kernels.autocast.products_of`.
    """
    if device.type != "cpu" or has_products_of_bf16():
        yield
        return
    library = Library("aten", "IMPL")
    try:
        for operation in _PRODUCTS:
            library.impl(operation, _in_float32(operation), "AutocastCPU")
        yield
    finally:
        library._destroy()


def _in_float32(operation: Any) -> Callable[..., Tensor]:
    def product(*operands: Any, **options: Any) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            values = [_rounded(value) for value in operands]
            named = {name: _rounded(value) for name, value in options.items()}
            result: Tensor = operation(*values, **named)
            return result.bfloat16() if result.dtype == torch.float32 else result

    return product


def _rounded(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.bfloat16):
        return value  # autocast leaves float64 alone
    return value.bfloat16().float()
