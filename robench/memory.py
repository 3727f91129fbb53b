"""The C library's allocator, set up for tensors."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let the process keep freed memory for the next tensor of that size.

    glibc hands every freed block of some megabytes back to the kernel, which then clears its pages
    anew for the next activation of the same size: a third to a half of the time of a training
    step on a CPU. Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, _LARGEST)
