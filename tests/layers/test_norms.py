"""Group norms that replace other norm layers: the formula, the groups, single images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.layers.norms import GroupNorm2d, channels_of, fitting_groups, group_norm_like


def by_hand(x: Tensor, groups: int) -> Tensor:
    """Return (x - mean) / sqrt(var + 1e-5) of each sample's groups of channels."""
    parts = x.reshape(len(x), groups, -1)
    centered = parts - parts.mean(2, keepdim=True)
    return (centered / (centered.square().mean(2, keepdim=True) + 1e-5).sqrt()).view_as(x)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_each_group_of_each_sample_gets_mean_zero_and_variance_one(groups: int) -> None:
    x = 3 + 5 * torch.randn(4, 6, 5, 3, dtype=torch.float64)
    norm = group_norm_like(nn.BatchNorm2d(6).double(), groups)
    torch.testing.assert_close(norm(x), by_hand(x, groups), atol=1e-12, rtol=0)


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("pixels", [1, 4])
def test_the_answer_for_an_image_does_not_depend_on_the_batch(groups: int, pixels: int) -> None:
    x = torch.randn(5, 6, pixels, 1, dtype=torch.float64)
    norm = GroupNorm2d(groups, 6).double()
    torch.testing.assert_close(norm(x), torch.cat([norm(image[None]) for image in x]))


@pytest.mark.parametrize("groups", [1, 4, 8, 16])
def test_channels_last_in_bf16_give_the_same_values_gradients_and_layout(groups: int) -> None:
    x = torch.randn(3, 16, 5, 4).bfloat16()
    norm = GroupNorm2d(groups, 16)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        leaf = x.clone(memory_format=layout).requires_grad_()
        out = norm(leaf)
        assert out.is_contiguous(memory_format=layout)
        results.append((out, *torch.autograd.grad((out * x.cos()).sum(), [leaf, norm.weight])))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, atol=0.02, rtol=0.02)


def test_a_value_alone_in_its_group_becomes_the_shift() -> None:
    norm = GroupNorm2d(3, 3)
    nn.init.constant_(norm.bias, 0.5)
    torch.testing.assert_close(
        norm(torch.randn(1, 3, 1, 1)), torch.full((1, 3, 1, 1), 0.5), atol=1e-3, rtol=0
    )


@given(channels=st.integers(1, 200), groups=st.integers(1, 64))
def test_fitting_groups_are_the_most_that_divide_and_leave_two_channels_each(
    channels: int, groups: int
) -> None:
    found = fitting_groups(nn.BatchNorm2d(channels), groups)
    assert 1 <= found <= groups
    assert channels % found == 0
    assert found == 1 or channels // found >= 2
    for more in range(found + 1, groups + 1):
        assert channels % more or channels // more < 2


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.InstanceNorm2d(6), nn.SyncBatchNorm(6)]
)
def test_channels_are_those_of_any_norm_layer(norm: nn.Module) -> None:
    assert channels_of(norm) == 6
    assert group_norm_like(norm, 3).num_groups == 3


def test_a_fresh_norm_has_neither_scale_nor_shift_of_the_old_one() -> None:
    old = nn.BatchNorm2d(6)
    nn.init.constant_(old.weight, 7)
    new = group_norm_like(old, 2)
    assert (new.weight == 1).all()
    assert (new.bias == 0).all()
    assert not list(new.buffers())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("affine", [True, False])
def test_device_and_dtype_are_those_of_the_norm_that_it_replaces(
    dtype: torch.dtype, affine: bool
) -> None:
    old = nn.BatchNorm2d(6, affine=affine).to(dtype)  # without affine it has running statistics
    assert group_norm_like(old, 2).weight.dtype == dtype
    on_meta = nn.BatchNorm2d(6, affine=affine, device="meta")
    assert group_norm_like(on_meta, 2).weight.device.type == "meta"


def test_it_normalizes_the_same_in_training_and_evaluation() -> None:
    norm, x = GroupNorm2d(2, 6), torch.randn(4, 6, 3, 3)
    assert torch.equal(norm.train()(x), norm.eval()(x))
