"""Choosing a device and querying its properties."""

import itertools
import os

import torch
from torch import nn

from robench.errors import UserError, first_line


def choose_device(name: str = "auto", *, here: bool = True) -> torch.device:
    """Return the device called ``name``; ``auto`` means CUDA if available, else the CPU.

    Args:
        name: the name, as torch writes it.
        here: whether it is used on this machine, and not only on others.

    Raises:
        UserError: if the name is not a device or the device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if here:
            _take_own_gpu(device)
            torch.zeros(1, device=device).item()  # "meta" has tensors, but no values
    except Exception as error:
        unknown = "Expected one of" in str(error)  # and a list of twenty kinds
        reason = "torch knows no such device" if unknown else first_line(error)
        others = "cpu or cuda" if torch.cuda.is_available() else "cpu"
        raise UserError(f"device '{name}' cannot be used ({reason}); try {others}.") from None
    return device


def _take_own_gpu(device: torch.device) -> None:
    """Make "cuda" mean the GPU of this process, if ``torchrun`` has started one for each.

    Otherwise all of them would have memory on the first one.
    """
    rank = os.environ.get("LOCAL_RANK", "")
    if str(device) == "cuda" and rank.isdecimal() and int(rank) < torch.cuda.device_count():
        torch.cuda.set_device(int(rank))


def is_here(device: torch.device) -> bool:
    """Return whether this machine has a device: other machines may have one that it lacks."""
    try:
        choose_device(str(device))
    except UserError:
        return False
    return True


def gpus_for(device: torch.device) -> tuple[str, ...]:
    """Return the GPUs that processes may share out, as ``CUDA_VISIBLE_DEVICES`` names them.

    There are none if the device is a CPU, or one of several GPUs.
    """
    if device != torch.device("cuda"):  # a CPU, or one with a number
        return ()
    if seen := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return tuple(seen.split(","))
    return tuple(map(str, range(torch.cuda.device_count())))


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU if it has none."""
    tensor = next(itertools.chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def device_for(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """Return the device that was asked for; without one, that of the model.

    Raises:
        UserError: as :func:`choose_device`.
    """
    return device_of(model) if device is None else choose_device(str(device))


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bf16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    if not hasattr(torch.cpu, "get_capabilities"):  # older torch
        tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(getattr(torch.cpu, name, bool)() for name in tests)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
