"""Spectral normalization: torch's, and what it bounds."""

import copy
import math

import pytest
import torch
from torch import nn

from robench import apply_defense
from robench.errors import UserError
from robench.registry import defenses


def settled(conv: nn.Conv2d) -> nn.Module:
    model = apply_defense(conv, "spectral_norm").train()
    norms = model if isinstance(model, nn.Conv2d) else model[0]  # type: ignore[index]
    for _ in range(200):
        norms(torch.rand(1, conv.in_channels, 6, 6))
    return norms.eval()


def conv(size: int = 3) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 6, size, bias=False)


def test_the_kernel_s_matrix_has_norm_one_once_the_iteration_has_settled() -> None:
    weight = settled(conv()).weight.detach().flatten(1)  # type: ignore[operator]
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_convolution_is_bounded_by_the_root_of_the_kernel_s_area(size: int) -> None:
    weight = settled(conv(size)).weight.detach()  # type: ignore[operator]
    transfer = torch.fft.fft2(weight, s=(8, 8)).permute(2, 3, 0, 1)
    norm = torch.linalg.matrix_norm(transfer, 2).max().item()
    assert norm <= size + 1e-4
    if size == 1:
        assert norm == pytest.approx(1, abs=1e-4)


def test_a_constant_kernel_attains_the_bound() -> None:
    constant = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.constant_(constant.weight, 0.7)
    weight = settled(constant).weight.detach()  # type: ignore[operator]
    assert weight.sum().item() == pytest.approx(math.sqrt(9), abs=1e-4)  # the gain at f = 0


def test_evaluation_does_not_iterate() -> None:
    model = apply_defense(nn.Sequential(conv(), nn.BatchNorm2d(6)), "spectral_norm").eval()
    before = copy.deepcopy(model.state_dict())
    model(torch.rand(1, 4, 6, 6))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_state_dict_makes_the_same_network() -> None:
    def build() -> nn.Module:
        return apply_defense(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)), "spectral_norm")

    model, fresh = build().train(), build()
    model(torch.rand(2, 4, 6, 6))
    fresh.load_state_dict(model.state_dict())
    images = torch.rand(2, 4, 6, 6)
    assert torch.equal(fresh.eval()(images), model.eval()(images))
    assert torch.equal(copy.deepcopy(model)(images), model(images))


def test_no_iteration_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="n_power_iterations is 0"):
        defenses.build("spectral_norm(n_power_iterations=0)")
