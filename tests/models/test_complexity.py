"""Complexity is counted, not timed, and the network is left unchanged."""

import copy

import pytest
import torch
from torch import Tensor, nn

from robench import apply_defense
from robench.base import Defense
from robench.models.complexity import Complexity, measure_complexity
from robench.registry import defenses

IMAGES = torch.zeros(8, 3, 16, 16)


def network(defense: str = "batchnorm", width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    return apply_defense(nn.Sequential(*layers, *head), defense)


def costs(defense: str = "batchnorm", width: int = 8, images: Tensor = IMAGES) -> Complexity:
    return measure_complexity(network(defense, width), Defense(), images)


def test_multiply_adds_are_those_of_the_convolutions_and_the_head() -> None:
    expected = 16 * 16 * 9 * (3 * 8 + 8 * 8) + 8 * 10
    assert costs().multiply_adds == expected
    assert costs(images=IMAGES[:2]).multiply_adds == expected, "of one image, whatever the batch"


def test_weights_made_from_others_cost_nothing_in_evaluation() -> None:
    for defense in ("oni", "orthogonal", "aol", "spectral_norm"):
        assert costs(defense).multiply_adds == costs().multiply_adds


def test_the_filters_of_convnorm_cost_something() -> None:
    assert costs("convnorm").multiply_adds > 1.2 * costs().multiply_adds


def test_parameters_are_those_that_are_trained() -> None:
    assert costs().parameters == 9 * (3 * 8 + 8 * 8) + 4 * 8 + 8 * 10 + 10
    model = network()
    next(model.parameters()).requires_grad_(False)
    assert measure_complexity(model, Defense(), IMAGES).parameters == costs().parameters - 9 * 3 * 8
    assert not next(model.parameters()).requires_grad


def test_memory_grows_with_the_batch_and_the_activations() -> None:
    small, large = costs(), costs(images=IMAGES.repeat(8, 1, 1, 1))
    assert large.training_memory_mib == pytest.approx(8 * small.training_memory_mib, rel=0.25)
    activations = 8 * 16 * 16 * 8 * 4 / 2**20  # of one layer
    assert small.training_memory_mib > 3 * activations
    assert costs("convnorm").training_memory_mib > small.training_memory_mib


def test_bf16_takes_less_memory() -> None:
    full, half = (
        measure_complexity(network(), Defense(), IMAGES, precision=p) for p in ("float32", "bf16")
    )
    assert half.training_memory_mib < full.training_memory_mib


def test_counting_twice_gives_the_same_and_changes_nothing() -> None:
    model = network("convnorm").train()
    before = copy.deepcopy(model.state_dict())
    entry = defenses.get("convnorm").build()
    first = measure_complexity(model, entry, IMAGES)
    assert measure_complexity(model, entry, IMAGES) == first
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


class RaisesInTraining(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("only for inference")
        return super().forward(input)


def test_a_network_that_raises_in_training_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout().train(), RaisesInTraining(192, 2).eval())
    model.training = False
    model.requires_grad_(False)
    with pytest.raises(RuntimeError, match="only for inference"):
        measure_complexity(model, Defense(), torch.rand(2, 3, 8, 8))
    assert [module.training for module in model.modules()] == [False, True, True, False]
    assert not any(p.requires_grad for p in model.parameters())
