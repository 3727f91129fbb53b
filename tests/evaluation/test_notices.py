"""Notices about a model: gradients that lead attacks nowhere, accuracy that is near chance."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from awkward_models import Then
from torch import Tensor, nn

from robench.board.attack_calls import build_attack
from robench.errors import RobenchWarning
from robench.evaluation import Outcomes, evaluate
from robench.evaluation.evaluate import LEFT_OUT
from robench.evaluation.notices import (
    gradient_notice,
    is_near_chance,
    outcome_notice,
)

IMAGES, LABELS = torch.rand(20, 1, 4, 4), torch.arange(20) % 3


class Of(nn.Module):
    """A linear network on what a function makes of the images."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change, self.net = change, nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(self.change(images))
        return logits


def square_root_of_zero(images: Tensor) -> Tensor:
    return images + 0 * (images - images).sqrt()  # its gradient is 0 * infinity


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (square_root_of_zero, "gradient is NaN or infinite on 16 of 16 clean images"),
        (torch.round, "gradient is zero on all of 16 clean images"),
        (lambda x: x * 1e-38, "gradient is zero on all"),
        (torch.Tensor.detach, "have no gradient with respect to the images"),
    ],
)
def test_gradients_that_lead_nowhere_are_said(
    change: Callable[[Tensor], Tensor], sentence: str
) -> None:
    notice = gradient_notice(Of(change), IMAGES, LABELS)
    assert notice is not None
    assert sentence in notice


def test_a_usual_network_draws_no_notice_and_is_restored() -> None:
    model = Of(lambda x: x).train()
    before = torch.get_rng_state()
    assert gradient_notice(model, IMAGES.numpy(), LABELS.numpy()) is None
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scale", [1e3, 1e4, 1e6])
def test_large_logits_draw_no_notice_since_attacks_climb_a_loss_that_is_not_flat(
    scale: float,
) -> None:
    model, images = Of(lambda x: scale * x), IMAGES.clone().requires_grad_()
    labels = model(IMAGES).argmax(1)
    nn.functional.cross_entropy(model(images), labels).backward()
    assert images.grad is not None
    assert images.grad.flatten(1).any(1).float().mean() < 0.5  # torch's own is flat
    assert gradient_notice(model, IMAGES, labels) is None
    [outcomes] = evaluate(model, IMAGES, labels, ["fgsm(eps=0.1)"]).attacks.values()
    assert outcomes.linf.all()


def test_accuracy_is_near_chance_below_a_fifth_of_the_way_to_perfect() -> None:
    assert is_near_chance(0.225, 10)
    assert is_near_chance(0.55, 2)
    assert is_near_chance(0.05, 1000)
    assert not is_near_chance(0.3, 10)
    assert not is_near_chance(0.65, 2)
    assert not is_near_chance(0.4, 1000)


def warned(model: nn.Module, *attacks: str) -> list[str]:
    """Evaluate a model that is right on all images, and return what was warned of."""
    with torch.no_grad():
        labels = model(IMAGES).argmax(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluate(model, IMAGES, labels, attacks, defaults={"eps": 1e-3}, batch_size=20)
    found = [str(w.message) for w in caught if issubclass(w.category, RobenchWarning)]
    return [sentence for sentence in found if not sentence.startswith(LEFT_OUT)]


def test_an_evaluation_warns_once_where_gradients_are_zero_and_says_what_to_do() -> None:
    [notice] = warned(Of(torch.round), "fgsm", "pgd-2")
    assert "gradient is zero on all of 16 clean images" in notice
    assert "check the model with robench.check_model" in notice


def test_zero_gradients_on_half_of_the_images_are_many() -> None:
    def half(images: Tensor) -> Tensor:
        flat = (torch.arange(len(images)) % 2).view(-1, 1, 1, 1)
        return flat * images.round() + (1 - flat) * images

    [notice] = warned(Of(half), "pgd-2")
    assert "gradient is zero on 8 of 16 clean images" in notice


def test_attacks_that_take_no_gradients_or_succeed_draw_no_notice() -> None:
    assert warned(Of(torch.round), "noise") == []
    assert warned(Of(lambda x: x), "fgsm") == []


def test_a_step_that_moves_no_image_is_said() -> None:
    model = Of(lambda x: x)
    none = Outcomes.without_attack(np.ones(20, dtype=bool))
    still = replace(none, backwards=none.backwards + 1)
    attack = build_attack("fgsm", {"eps": 0.1})
    notice = outcome_notice(model, IMAGES, LABELS, {"fgsm": attack}, {"fgsm": still})
    assert notice is not None
    assert notice.startswith("fgsm changed none of the 20 images that it attacked")
    moved = replace(still, linf=still.linf + 0.1)
    assert outcome_notice(model, IMAGES, LABELS, {"fgsm": attack}, {"fgsm": moved}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda z: z.where(z < z.amax(1, keepdim=True), torch.inf),
            "of 20 clean images are",
        ),
        (lambda z: z * 1e-5, "too little for attacks on the cross-entropy"),
    ],
)
def test_logits_that_mislead_are_said(change: Callable[[Tensor], Tensor], words: str) -> None:
    with pytest.warns(RobenchWarning, match=words):
        evaluate(Then(change, pixels=16), IMAGES, LABELS, ["noise(eps=0.1)"])


def test_an_adaptive_attack_of_a_model_that_has_none_is_said() -> None:
    with pytest.warns(RobenchWarning, match="Adaptive is the attack that a registered defense"):
        evaluate(Then(torch.neg, pixels=16), IMAGES, LABELS, ["adaptive(eps=0.1)"])
