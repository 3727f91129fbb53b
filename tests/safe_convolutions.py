"""torch's convolutions without its crash, for tests that train in loops of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.jit._builtins import _register_builtin
from torch.nn import functional as F
from torch.nn.modules.utils import _pair
from torch.utils._python_dispatch import _get_current_dispatch_mode

from robench.kernels.strided_pointwise import overruns

_plain = F.conv2d


def _conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    trains = torch.is_grad_enabled() and weight.requires_grad and groups == 1
    # Measurements of memory count the operations of the plain one, and take care themselves.
    if trains and not isinstance(padding, str) and _get_current_dispatch_mode() is None:
        rows, columns = _pair(stride)
        if overruns(x, weight, (rows, columns), _pair(padding)):
            return _plain(x[..., ::rows, ::columns], weight, bias)
    return _plain(x, weight, bias, stride, padding, dilation, groups)


# TorchScript would compile the source of this function; it takes torch's own operation instead.
_register_builtin(_conv2d, "aten::conv2d")


@contextmanager
def safe_convolutions() -> Iterator[None]:
    """Keep torch's narrow strided 1x1 convolutions from writing beyond their memory.

    robench's own training and measurements go round it; tests of layers and defenses train plain
    networks of width 4, which end the process on AVX2 (torch 2.14, oneDNN 6035). With AVX-512 they
    do not, and nothing is changed.
    """
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        yield
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(F, "conv2d", _conv2d)
        yield
