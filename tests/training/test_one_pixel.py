"""Convolutions whose bf16 gradients are wrong are refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robench.commands.train import train
from robench.errors import UserError
from robench.training.one_pixel import refuse_one_pixel_strides


def network(conv: nn.Conv2d) -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(8), conv)


def test_a_stride_over_one_pixel_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="layer '1' strides over a map of one pixel"):
        refuse_one_pixel_strides(network(nn.Conv2d(3, 4, 3, 2, 1)), torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("conv", [nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(3, 4, 1, 2)])
def test_others_pass(conv: nn.Conv2d) -> None:
    refuse_one_pixel_strides(network(conv), torch.zeros(2, 3, 8, 8))
    refuse_one_pixel_strides(network(nn.Conv2d(3, 4, 3, 2, 1)), torch.zeros(2, 3, 16, 16))


def test_training_in_bf16_asks_and_float32_does_not() -> None:
    recipe = {"width": 4, "stem": "half", "epochs": 1, "lr": 0.01, "replays": 1, "milestones": ()}
    with pytest.raises(UserError, match="precision = 'float32'"):
        train("batchnorm", "digits", precision="bf16", **recipe)
    train("batchnorm", "digits", **recipe)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_larger_maps_have_right_gradients(size: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 16, size, size).bfloat16()
    weight = torch.randn(32, 16, 3, 3).bfloat16().requires_grad_()
    F.conv2d(x, weight, stride=2, padding=1).float().square().sum().backward()
    full = weight.detach().float().requires_grad_()
    F.conv2d(x.float(), full, stride=2, padding=1).square().sum().backward()
    assert weight.grad is not None
    assert full.grad is not None
    assert (weight.grad.float() - full.grad).norm() < 0.02 * full.grad.norm()
