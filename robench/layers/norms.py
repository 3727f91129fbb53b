"""Group norms that replace other norm layers."""

from typing import Any

import torch
from torch import Tensor, nn


class GroupNorm2d(nn.GroupNorm):
    """torch's group norm that also accepts single images with one value per group.

    torch refuses those, since the result is just the shift; but the output for an image must not
    depend on the batch size.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (B, C, H, W)."""
        parameters = (self.num_groups, self.weight, self.bias, self.eps)
        if not _slow_in_torch(input, self.num_channels // self.num_groups):
            return torch.group_norm(input, *parameters)
        normalized = torch.group_norm(input.contiguous(), *parameters)
        return normalized.contiguous(memory_format=torch.channels_last)


def _slow_in_torch(input: Tensor, channels_per_group: int) -> bool:
    """Say whether another layout of memory saves more than the copies to it and back cost.

    torch 2.14 computes narrow groups of bf16 values with channels last one value at a time, in 1.8
    to 10 times the time, forward and backward, that it needs with both copies
    (``benchmarks/layers.py``).
    """
    return (
        channels_per_group <= 4
        and input.dtype == torch.bfloat16
        and input.device.type == "cpu"
        and input.is_contiguous(memory_format=torch.channels_last)
        and not input.is_contiguous()
    )


def group_norm_like(norm: nn.Module, groups: int) -> GroupNorm2d:
    """Return a fresh group norm with the channels, device and dtype of another norm layer.

    Args:
        norm: a batch, group or instance norm.
        groups: a divisor of its number of channels; 1 gives layer norm, that number instance norm.
    """
    own = [t for t in (*norm.parameters(), *norm.buffers()) if t.is_floating_point()]
    like = own[0] if own else torch.empty(0)
    return GroupNorm2d(groups, channels_of(norm), device=like.device, dtype=like.dtype)


def fitting_groups(norm: nn.Module, groups: int) -> int:
    """Return the largest number of equal groups, at most ``groups``, of two channels or more.

    Groups of one channel would be instance norm, which erases maps of one pixel.
    """
    channels = channels_of(norm)
    fitting = [g for g in range(1, groups + 1) if channels % g == 0 and 2 * g <= channels]
    return max(fitting, default=1)


def channels_of(norm: nn.Module) -> int:
    """Return the number of channels of a batch, group or instance norm."""
    channels: Any = norm.num_channels if isinstance(norm, nn.GroupNorm) else norm.num_features
    return int(channels)
