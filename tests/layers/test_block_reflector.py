"""Block reflectors: reflections of a space, in parts too, and harmless where there is none."""

import pytest
import torch
from torch import nn

from robench import UserError, apply_defense
from robench.layers.block_reflector import BlockReflectorConv2d, block_reflector


def matrix(m: int = 6, n: int = 2) -> torch.Tensor:
    return torch.randn(m, n, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


def test_it_turns_the_space_around_and_leaves_the_rest() -> None:
    v = matrix()
    q = block_reflector(v, 6, 6)
    torch.testing.assert_close(q @ v, -v)
    values = torch.linalg.eigvalsh(q)
    wanted = torch.tensor([-1.0] * 2 + [1.0] * 4, dtype=torch.float64)
    torch.testing.assert_close(values, wanted)
    torch.testing.assert_close(block_reflector(v, 4, 6), q[:4])
    torch.testing.assert_close(block_reflector(v, 6, 3), q[:, :3])


def test_columns_that_coincide_or_vanish_do_no_harm() -> None:
    v = matrix()
    for singular in (v[:, :1].expand(6, 2), 0 * v, 1e-9 * v):
        q = block_reflector(singular, 6, 6)
        assert torch.linalg.svdvals(q).max() <= 1 + 1e-6
        assert q.isfinite().all()
    assert torch.equal(block_reflector(0 * v, 6, 6), torch.eye(6, dtype=v.dtype))


@pytest.mark.parametrize(("channels", "rank", "filters"), [(8, 0.25, 2), (8, 0.5, 4), (2, 0.1, 1)])
def test_the_rank_is_a_share_of_the_channels(channels: int, rank: float, filters: int) -> None:
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    layer = BlockReflectorConv2d.from_conv(conv, rank=rank)
    assert layer.weight.shape == (filters, channels, 3, 3)
    assert torch.equal(layer.weight, conv.weight[:filters])


def test_the_scale_of_the_kernel_does_not_matter() -> None:
    layer = BlockReflectorConv2d.from_conv(nn.Conv2d(6, 6, 3, padding=1)).double()
    x = torch.randn(2, 6, 5, 5, dtype=torch.float64)
    before = layer(x)
    for scale in (1e-6, 1e9):
        with torch.no_grad():
            layer.weight.mul_(scale)
        torch.testing.assert_close(layer(x), before)


def test_single_channels_are_refused_since_their_reflection_is_a_constant() -> None:
    depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4))
    with pytest.raises(UserError, match="nothing to learn"):
        apply_defense(depthwise, "bro")
