"""Mistakes in a defense's hooks that would train something else than they say."""

from collections.abc import Callable

import pytest
import torch
from support import stripes
from torch import Tensor, nn

from robench.base import Defense
from robench.board.specs import TrainingSpec
from robench.data import Augmentation
from robench.errors import UserError
from robench.training.data import TrainingData
from robench.training.loop import fit

RECIPE = TrainingSpec.model_validate({"epochs": 1, "batch_size": 16, "lr": 0.1, "replays": 1})


class Late(nn.Module):
    """Makes a parameter in its first forward."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones(()))
        return x * self.scale


def fitted(defense: Defense, *layers: nn.Module) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *layers, nn.Flatten(), nn.Linear(256, 2))
    data = TrainingData(stripes(40), stripes(10, seed=1), Augmentation(), 0)
    fit(model, defense, RECIPE, data, device=torch.device("cpu"))
    return model


class Rebinding(Defense):
    def after_step(self, model: nn.Module) -> None:
        conv = model[0]  # type: ignore[index]
        conv.weight = nn.Parameter(conv.weight.detach() * 0.9)


class RebindingLater(Rebinding):
    """From the second step on."""

    def __init__(self) -> None:
        vars(self)["steps"] = 0

    def after_step(self, model: nn.Module) -> None:
        vars(self)["steps"] += 1
        if vars(self)["steps"] > 1:
            super().after_step(model)


@pytest.mark.parametrize("defense", [Rebinding, RebindingLater])
def test_a_defense_that_puts_a_new_parameter_in_the_place_of_one_is_refused(
    defense: Callable[[], Defense],
) -> None:
    sentence = rf"parameter '0\.weight' is not trained.*{defense.__name__}\.after_step.*in place"
    with pytest.raises(UserError, match=sentence):
        fitted(defense())


def test_a_parameter_that_is_made_in_the_first_forward_is_refused() -> None:
    with pytest.raises(UserError, match=r"parameter '1\.scale' is not trained.*with their layer"):
        fitted(Defense(), Late())


def test_a_defense_that_writes_in_place_or_adds_frozen_parameters_is_not() -> None:
    class InPlace(Defense):
        @torch.no_grad()
        def after_step(self, model: nn.Module) -> None:
            model[0].weight.mul_(0.9)  # type: ignore[index]
            model[0].extra = nn.Parameter(torch.ones(()), requires_grad=False)  # type: ignore[index]

    fitted(InPlace())


class PerImage(Defense):
    def penalty(self, model: nn.Module) -> Tensor:
        return next(model.parameters()).flatten(1).square().sum(1)


class Detached(Defense):
    def penalty(self, model: nn.Module) -> Tensor:
        return next(model.parameters()).detach().square().sum()


class Number(Defense):
    def penalty(self, model: nn.Module) -> Tensor:
        return 0.5  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("defense", "sentence"),
    [
        (PerImage(), r"penalty of PerImage has shape \(4,\); it must be a scalar"),
        (Detached(), "penalty of Detached has no gradient, so that it would train nothing"),
        (Number(), r"penalty of Number is 0\.5, not a tensor"),
    ],
)
def test_a_penalty_that_is_no_scalar_or_leads_nowhere_is_refused(
    defense: Defense, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        fitted(defense)
