"""Float32 arithmetic that is float32, whatever a program has asked torch for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def exact_float32() -> Iterator[None]:
    """Multiply and convolve float32 tensors in float32, and reproducibly; also a decorator.

    ``torch.set_float32_matmul_precision``, ``torch.backends.fp32_precision`` and NVIDIA's
    containers let GPUs round the operands to TF32 (10 bits), and CPUs to bf16 (7 bits); cuDNN does
    so by default. On CUDA, convolutions are deterministic inside. All settings are restored.
    """
    before = [(part, name, _read(part, name)) for part, name in _settings()]
    try:
        for part, name, _ in before:
            setattr(part, name, _EXACT[name])
        yield
    finally:
        for part, name, value in before:
            if value is not None:
                setattr(part, name, value)


def _read(part: Any, name: str) -> Any:
    """Return a setting; None where others contradict it, so that torch refuses to read it."""
    try:
        return getattr(part, name)
    except RuntimeError:
        return None


_EXACT = {
    "enabled": True,
    "benchmark": False,
    "deterministic": True,
    "allow_tf32": False,
    "fp32_precision": "ieee",
}


def _settings() -> Iterator[tuple[Any, str]]:
    """Yield torch's settings in the order in which they are to be made.

    Those of single operations come last: ``allow_tf32`` changes them, and torch refuses to read it
    where they contradict it, but not to write it.
    """
    backends: Any = torch.backends
    cudnn, matmul = backends.cudnn, backends.cuda.matmul
    yield from ((cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32"))
    if not hasattr(backends, "fp32_precision"):  # before torch 2.9
        yield matmul, "allow_tf32"
        return
    for part in (matmul, cudnn.conv, cudnn.rnn, backends.mkldnn.matmul, backends.mkldnn.conv):
        yield part, "fp32_precision"
