"""``torch.autocast`` to bf16 on CPUs without instructions for it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.library import Library
from torch.nn import functional as F

from robench.kernels.autocast import has_products_of_bf16
from robench.kernels.strided_pointwise import overruns

_ATEN = torch.ops.aten
_PRODUCTS = (
    _ATEN.conv1d.default, _ATEN.conv1d.padding, _ATEN.conv2d.default, _ATEN.conv2d.padding,
    _ATEN.conv3d.default, _ATEN.conv3d.padding, _ATEN.conv_tbc.default,
    _ATEN.conv_transpose1d.default, _ATEN.conv_transpose2d.input, _ATEN.conv_transpose3d.input,
    _ATEN.linear.default, _ATEN.matmul.default, _ATEN.linalg_vecdot.default, _ATEN.mm.default,
    _ATEN.bmm.default, _ATEN.addmm.default, _ATEN.addbmm.default, _ATEN.baddbmm.default,
    _ATEN.scaled_dot_product_attention.default,
)  # fmt: skip
"""What autocast casts to bf16, but for ``prelu``, which has no products, and two fused layers,
which are recurrent or only for inference."""


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Have autocast round the operands of products to bf16 and multiply them in float32.

    A product of two bf16 numbers is exact in float32, in which hardware with instructions for bf16
    sums them, too; so the results, rounded to bf16, are as good, and so are the gradients. Without
    such hardware, torch's own way takes 2 to 80 times as long (torch 2.14, AVX2). Where there is
    such hardware, and on other devices, nothing changes. Operands are kept for the backward in
    float32, which takes twice the memory of bf16. This is not to be nested.

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
            computed = _conv2d if operation is _ATEN.conv2d.default else operation
            library.impl(operation, _in_float32(computed), "AutocastCPU")
        yield
    finally:
        library._destroy()


def _in_float32(operation: Any) -> Callable[..., Tensor]:
    def product(*operands: Any, **options: Any) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            values = [_rounded(value, dtype) for value in operands]
            named = {name: _rounded(value, dtype) for name, value in options.items()}
            result: Tensor = operation(*values, **named)
            return result.to(dtype) if result.dtype == torch.float32 else result

    return product


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    *more: Any,
) -> Tensor:
    """Return the convolution; its weight gradient is right, also where torch's is not.

    In bf16, :func:`robench.kernels.fast_convs.fast_convolutions` sees to it for modules without a
    bias alone.
    """
    rows, columns = stride
    one_group = x.ndim == 4 and weight.shape[1] == x.shape[1]
    if one_group and overruns(x, weight, (rows, columns), (padding[0], padding[1])):
        return F.conv2d(x[..., ::rows, ::columns], weight, bias)
    y: Tensor = _ATEN.conv2d.default(x, weight, bias, stride, padding, *more)
    return y


def _rounded(value: Any, dtype: torch.dtype) -> Any:
    """Return what autocast to ``dtype`` takes, in float32 if that is bf16."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    if value.device.type != "cpu" or value.dtype == torch.float64:
        return value  # as autocast does
    rounded = value.to(dtype)
    return rounded.float() if dtype == torch.bfloat16 else rounded
