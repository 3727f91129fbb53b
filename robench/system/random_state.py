"""Random numbers of a block of code that change nobody else's."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_state(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Restore the random state of the CPU and of a device on exit, and seed them on entry.

    Other GPUs are neither asked for theirs, which takes memory on each, nor seeded, as
    ``torch.manual_seed`` does.

    Args:
        device: the device that is computed on.
        seed: the seed; None to go on with the state that there is.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if seed is not None:
            seed_torch(device, seed)
        yield


def seed_torch(device: torch.device, seed: int) -> None:
    """Seed torch on the CPU and on a device; ``torch.manual_seed`` also seeds all other GPUs."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
