"""Weight gradients of torch's own convolutions, where it writes beyond its memory."""

import pytest
import torch
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker

from robench.kernels.safe_gradients import SafeGradients


@pytest.mark.parametrize("channels", [2, 4, 6, 12, 20])
@pytest.mark.parametrize("bias", [False, True])
def test_the_gradients_are_those_of_a_plain_convolution(channels: int, bias: bool) -> None:
    """Without it, this process crashes at most of these widths with torch 2.14 on AVX2."""
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 8, 1, 2, bias=bias).to(memory_format=torch.channels_last)
    x = torch.randn(32, channels, 8, 8).contiguous(memory_format=torch.channels_last)
    exact = nn.Conv2d(channels, 8, 1, 2, bias=bias).double()
    exact.load_state_dict(conv.state_dict())
    with SafeGradients():
        torch.conv2d(x, conv.weight, conv.bias, 2).square().sum().backward()
    exact(x.double().contiguous()).square().sum().backward()
    for ours, wanted in zip(conv.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, wanted.grad.float(), rtol=1e-4, atol=1e-3)


def test_a_counter_of_memory_sees_the_same_operations() -> None:
    peaks = []
    for safe in (True, False):
        conv, x = nn.Conv2d(20, 8, 3, 2), torch.randn(4, 20, 8, 8)
        tracker = MemTracker()
        tracker.track_external(conv, x)
        if safe:
            with SafeGradients(), tracker:
                conv(x).sum().backward()
        else:
            with tracker:
                conv(x).sum().backward()
        parts = tracker.get_tracker_snapshot("peak").values()
        peaks.append(sum(part["Total"] for part in parts))
    assert peaks[0] == peaks[1]
