"""Convolutions whose bf16 gradients are wrong are refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robench.commands.train import train
from robench.errors import UserError
from robench.training.wide_strides import refuse_wide_strides


def network(conv: nn.Conv2d) -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(8), conv)


@pytest.mark.parametrize(
    ("conv", "size"),
    [
        (nn.Conv2d(3, 4, 3, 2, 1), (1, 1)),
        (nn.Conv2d(3, 4, (3, 1), 2, (1, 0)), (8, 1)),
        (nn.Conv2d(3, 3, 5, 3, 2, groups=3), (4, 2)),
    ],
)
def test_a_stride_longer_than_a_side_is_refused_by_name(
    conv: nn.Conv2d, size: tuple[int, int]
) -> None:
    images = torch.zeros(2, 3, *(8 * side for side in size))
    sides = rf"layer '1' strides by .x. over a map of {size[0]}x{size[1]} pixels"
    with pytest.raises(UserError, match=sides):
        refuse_wide_strides(network(conv), images)


@pytest.mark.parametrize("conv", [nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(3, 4, 1, 2)])
def test_others_pass(conv: nn.Conv2d) -> None:
    refuse_wide_strides(network(conv), torch.zeros(2, 3, 8, 8))
    refuse_wide_strides(network(nn.Conv2d(3, 4, 3, 2, 1)), torch.zeros(2, 3, 16, 16))
    refuse_wide_strides(network(nn.Conv2d(3, 4, 3, (1, 2), 1)), torch.zeros(2, 3, 8, 16))


def test_training_in_bf16_asks_and_float32_does_not() -> None:
    recipe = {"width": 4, "stem": "half", "epochs": 1, "lr": 0.01, "replays": 1, "milestones": ()}
    with pytest.raises(UserError, match="precision = 'float32'"):
        train("batchnorm", "digits", precision="bf16", **recipe)
    train("batchnorm", "digits", **recipe)


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (4, 4)])
@pytest.mark.parametrize("groups", [1, 16])
def test_larger_maps_have_right_gradients(size: tuple[int, int], groups: int) -> None:
    torch.manual_seed(0)
    x, bias = torch.randn(16, 16, *size).bfloat16(), torch.randn(32).bfloat16()
    weight = torch.randn(32, 16 // groups, 3, 3).bfloat16().requires_grad_()
    F.conv2d(x, weight, bias, 2, 1, 1, groups).float().square().sum().backward()
    full = weight.detach().float().requires_grad_()
    F.conv2d(x.float(), full, bias.float(), 2, 1, 1, groups).square().sum().backward()
    assert weight.grad is not None
    assert full.grad is not None
    assert (weight.grad.float() - full.grad).norm() < 0.02 * full.grad.norm()
