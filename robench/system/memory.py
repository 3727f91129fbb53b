"""Memory of tensors: kept by the process, given back by the GPU."""

import ctypes
import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Make the process keep freed memory for the next tensor of the same size.

    glibc returns every freed block of some megabytes to the kernel, which then has to clear its
    pages again for the next activation of the same size: this takes a third to a half of the time
    of a training step on a CPU. Does nothing with another C library.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, -1)  # never


def free_gpu_memory(device: "torch.device") -> None:
    """Give back what a piece of work has left on a GPU, such as a training's recorded steps.

    Objects that refer to one another in a circle would hold it until Python looks for them.
    """
    if device.type != "cuda":
        return
    import torch

    gc.collect()
    torch.cuda.empty_cache()
