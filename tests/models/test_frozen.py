"""Restoring a model on exit."""

import copy

import pytest
import torch
from torch import nn

from robench import apply_defense
from robench.models.frozen import frozen_stats, in_training, under_attack


@pytest.mark.parametrize("defense", ["batchnorm", "spectral_norm", "convnorm", "vanilla"])
def test_training_forwards_inside_leave_no_trace_in_any_defense(defense: str) -> None:
    model = apply_defense(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), defense).train()
    model(torch.rand(4, 1, 6, 6))
    before = copy.deepcopy(model.state_dict())
    with frozen_stats(model):
        for _ in range(3):
            model(torch.rand(4, 1, 6, 6))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model(torch.rand(4, 1, 6, 6))
    changed = [n for n, value in model.state_dict().items() if not torch.equal(before[n], value)]
    assert bool(changed) == (defense != "vanilla")


def test_statistics_come_back_after_an_exception_too() -> None:
    model = nn.BatchNorm2d(2).train()

    def fail_inside() -> None:
        with frozen_stats(model):
            model(torch.rand(4, 2, 3, 3))
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert model.num_batches_tracked == 0


def test_under_attack_the_model_is_in_eval_mode_and_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    with under_attack(model):
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [module.training for module in model] == [True, False]
    assert [p.requires_grad for p in model[0].parameters()] == [True, False]


@pytest.mark.filterwarnings("ignore")
def test_a_frozen_scripted_network_has_no_mode_before_and_after() -> None:
    model = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()))
    images = torch.rand(3, 2)
    before = model(images)
    for context in (under_attack, in_training):
        with context(model):
            assert torch.equal(model(images), before)
        assert not hasattr(model, "training")


def test_a_write_to_weight_data_shows_in_the_next_attack() -> None:
    model = apply_defense(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "convnorm(bn=False)"
    )
    model.eval().requires_grad_(False)
    images = torch.rand(2, 1, 6, 6)
    with under_attack(model):
        before = model(images)
    convolution = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    convolution.weight.data.copy_(torch.rand_like(convolution.weight))
    with under_attack(model):
        assert not torch.allclose(model(images), before)


def test_parameters_that_a_forward_moves_are_restored() -> None:
    class Moving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vector = nn.Parameter(torch.ones(2), requires_grad=False)
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.vector.set_(self.vector * 2)  # as torch's parametrizations store a value
            return x * self.weight * self.vector

    model = Moving()
    with frozen_stats(model), under_attack(model), torch.no_grad():
        model(torch.ones(2))
    assert model.vector.tolist() == [1, 1]
