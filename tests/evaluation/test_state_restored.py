"""Buffers and flags are restored whatever happened inside: rebound, added, removed, interrupted."""

import pytest
import torch
from torch import Tensor, nn

from robench import apply_defense
from robench.models.frozen import frozen_stats, under_attack


class Rebinding(nn.Module):
    """Rebinds its buffers in a forward, as careless layers do."""

    mean: Tensor
    late: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("late", None)

    def forward(self, x: Tensor) -> Tensor:
        self.mean = torch.ones(3)
        self.late = torch.ones(1)
        if "extra" not in self._buffers:
            self.register_buffer("extra", torch.ones(1))
        return x


def test_buffers_that_were_rebound_or_added_are_put_back_or_removed() -> None:
    module = Rebinding()
    mean = module.mean
    with frozen_stats(nn.Sequential(module)):
        module(torch.zeros(1))
        assert module.mean.shape == (3,)
    assert module.mean is mean
    assert torch.equal(mean, torch.zeros(2))
    assert module.late is None
    assert not hasattr(module, "extra")


def test_averages_of_an_image_size_first_seen_inside_are_forgotten() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    model = apply_defense(plain, "convnorm(eval_stats='running_v')").train()
    model(torch.rand(2, 1, 6, 6))
    names = set(model.state_dict())
    with frozen_stats(model):
        model(torch.rand(2, 1, 9, 9))
        assert set(model.state_dict()) > names
    assert set(model.state_dict()) == names


def test_values_come_back_in_place() -> None:
    norm = nn.BatchNorm2d(2).train()
    running = norm.running_mean
    assert running is not None
    with frozen_stats(norm):
        norm(torch.rand(4, 2, 3, 3))
        assert running.abs().sum() > 0
    assert norm.running_mean is running
    assert torch.equal(running, torch.zeros(2))


def test_modes_and_flags_come_back_after_an_exception() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval())
    frozen = model[0].bias
    assert isinstance(frozen, Tensor)
    frozen.requires_grad_(False)
    with pytest.raises(KeyboardInterrupt), under_attack(model):
        raise KeyboardInterrupt
    assert [module.training for module in model.modules()] == [True, True, False]
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]


def test_gradients_of_parameters_are_neither_made_nor_touched() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    first, second = model[0].weight, model[1].weight
    assert isinstance(first, nn.Parameter)
    assert isinstance(second, nn.Parameter)
    first.grad = torch.full_like(first, 7.0)
    with under_attack(model):
        images = torch.rand(2, 1, 5, 5, requires_grad=True)
        model(images).sum().backward()
    assert images.grad is not None
    assert (first.grad == 7).all()
    assert second.grad is None
