"""Whatever a model does, its figures are those of a plain loop over the model itself."""

import copy
from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
import torch
from awkward_models import MODELS, Awkward
from torch import Tensor, nn
from torch.nn import functional

from robench.board.specs import Shortcut
from robench.evaluation import evaluate

Digits = tuple[Tensor, Tensor]
EPS, STEP, STEPS = 0.08, 0.02, 8
ATTACKS = ["fgsm", f"pgd(steps={STEPS}, random_start=False)"]
DEFAULTS = {"eps": EPS, "step_size": STEP}


def plain_figures(model: nn.Module, images: Tensor, labels: Tensor) -> list[int]:
    """Return how many images are right under no attack, FGSM and PGD; the model is called only."""
    model = model.eval().requires_grad_(False)
    logits = model(images.clone())
    right = logits.isfinite().all(1) & (logits.argmax(1) == labels)
    images, labels = images[right], labels[right]
    figures = [len(images)]
    for step, steps in ((EPS, 1), (STEP, STEPS)):
        x = images.clone()
        for _ in range(steps):
            leaf = x.clone().requires_grad_()
            losses = functional.cross_entropy(model(leaf * 1.0), labels, reduction="none")
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
            x = images + (x + step * gradient.sign().nan_to_num() - images).clamp(-EPS, EPS)
            x = x.clamp(0, 1)
        with torch.no_grad():
            figures.append(int((model(x.clone()).argmax(1) == labels).sum()))
    return figures


def figures(
    model: nn.Module, digits: Digits, without: Sequence[str] = ()
) -> tuple[list[int], Mapping[str, str]]:
    result = evaluate(model, *digits, ATTACKS, defaults=DEFAULTS, without=without)
    rates = [result.accuracy(name) for name in ("clean", *ATTACKS)]
    return [round(rate * len(digits[0])) for rate in rates], result.refused


def near(found: list[int], wanted: list[int], tolerance: int) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("awkward", MODELS, ids=lambda awkward: awkward.name)
def test_an_awkward_model_has_its_plain_figures(
    digits_net: nn.Sequential, digits_test: Digits, awkward: Awkward
) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return awkward.build(copy.deepcopy(digits_net)).eval()

    wanted = plain_figures(build(), *digits_test)
    before = [tensor.clone() for tensor in digits_test]
    found, refused = figures(build(), digits_test)
    assert near(found, wanted, awkward.tolerance), (found, wanted)
    assert all(torch.equal(a, b) for a, b in zip(digits_test, before, strict=True))
    reasons = " ".join(refused.values())
    assert awkward.reason in reasons
    assert bool(reasons) == bool(awkward.reason)
    without, _ = figures(build(), digits_test, without=get_args(Shortcut))
    assert near(without, wanted, awkward.tolerance), (without, wanted)


def test_there_are_enough_of_them() -> None:
    assert len({awkward.name for awkward in MODELS}) == len(MODELS) >= 25
