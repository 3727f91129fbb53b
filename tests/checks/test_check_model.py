"""All checks of a network: masked gradients are named, honest networks are not."""

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from faults import EPS, STEP, Wrapped, attack, forged
from torch import Tensor, nn

import robench as package
from robench.checks import Report, check_model
from robench.data import load_dataset
from robench.errors import UserError
from robench.progress import Progress

BALL = ("linf", EPS)

Check = Callable[..., Report]


@pytest.fixture
def check(digits: tuple[Tensor, Tensor]) -> Check:
    def run(model: nn.Module, **options: object) -> Report:
        settings = {"ball": BALL, "step_size": STEP, "samples": 64, **options}
        return check_model(model, *digits, **settings)

    return run


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def trained(defense: str) -> nn.Module:
    recipe = {"epochs": 4, "lr": 0.05, "milestones": (3,), "eps": EPS, "step_size": EPS}
    return package.train(defense, load_dataset("digits"), model=network(), **recipe)


class Saturated(Wrapped):
    """Margins so large that the softmax is 1 in float32."""

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * self.net(images)


class Quantised(Wrapped):
    """Pixels of five levels: right on clean images, and flat."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.mul(4).round().div(4))


class Noisy(Wrapped):
    """Random noise on each image, also in eval mode."""

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images + 0.2 * torch.randn_like(images))


@pytest.mark.parametrize(
    ("masked", "named"),
    [
        (Saturated, ["saturated_loss"]),
        (Quantised, ["large_eps", "black_box", "zero_gradients", "loss_rises"]),
        (Noisy, ["same_logits"]),
    ],
)
def test_masked_gradients_are_caught_by_name(
    masked: type[Wrapped], named: list[str], check: Check, digits_net: nn.Module
) -> None:
    assert check(masked(digits_net)).failed == named


def test_a_network_trained_normally_is_not_flagged(check: Check, digits_net: nn.Module) -> None:
    report = check(digits_net, source=trained("batchnorm"))
    assert report.failed == []
    assert all(finding.passed for finding in report.findings)


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm"])
def test_a_network_trained_adversarially_is_not_flagged(
    defense: str, check: Check, digits_net: nn.Module
) -> None:
    report = check(trained(defense), source=digits_net, samples=40)
    assert report.failed == []
    assert all(finding.passed for finding in report.findings)


def test_it_leaves_the_network_and_the_random_state_alone(
    check: Check, digits_net: nn.Module
) -> None:
    model = Noisy(copy.deepcopy(digits_net)).train()
    model.zero_grad()
    modes = [m.training for m in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    check(model, samples=8, binarization=True)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(value, state[n]) for n, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]


def test_the_same_images_give_the_same_report_also_of_a_random_network(
    digits_net: nn.Module,
) -> None:
    model = Noisy(digits_net)
    sample = load_dataset("digits").test.take(torch.arange(8))
    assert sample.images.dtype == torch.uint8
    whole, real = (
        check_model(model, images, sample.labels, ball=BALL, step_size=STEP)
        for images in (sample.images, sample.images.float() / 255)
    )
    assert whole == real


def test_what_the_board_found_is_used(check: Check, digits_net: nn.Module) -> None:
    outcomes = {"pgd-20": forged(range(10), backwards=20), "fgsm": forged(range(150))}
    attacks = {name: attack(name) for name in outcomes}
    assert "single_step" in check(digits_net, outcomes=outcomes, attacks=attacks, samples=8).failed


def test_a_network_without_gradients_is_judged_by_what_needs_none(
    check: Check, digits_net: nn.Module
) -> None:
    class Detached(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.detach())

    report = check(Detached(digits_net))
    assert report.failed == ["black_box", "zero_gradients"]
    assert report["more_steps"].passed is None
    assert "no gradient with respect to its images" in report["more_steps"].sentence


def test_a_network_that_breaks_down_is_no_crash(check: Check) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("no such thing")

    report = check(Broken(), binarization=True)
    judged = {finding.check for finding in report.findings if finding.passed is not None}
    assert judged <= {"train_eval_gap"}  # it keeps no statistics
    assert "ValueError: no such thing" in report["same_logits"].sentence


def test_a_ball_in_the_euclidean_norm_is_judged_too(check: Check, digits_net: nn.Module) -> None:
    report = check(digits_net, ball=("l2", 0.5), step_size=0.125, samples=24, binarization=True)
    assert report.failed == []
    assert report.curve[-1] == (8.0, 0.0)


def test_each_check_has_one_finding_with_a_sentence(check: Check, digits_net: nn.Module) -> None:
    reported: list[Progress] = []
    report = check(digits_net, samples=8, progress=reported.append)
    names = [finding.check for finding in report.findings]
    assert len(set(names)) == len(names)
    assert all(f.sentence[0].isupper() and f.sentence.endswith(".") for f in report.findings)
    assert reported[0].done == 0
    assert reported[-1].done == reported[-1].total


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ball": ("linf", 0.0)}, "a radius above 0"),
        ({"ball": ("l1", 0.5)}, "linf or l2"),
        ({"ball": ("linf", 8.0)}, "pixels lie in"),
        ({"samples": 0}, "samples is 0"),
        ({"without": ("foldin",)}, "folding"),
        ({"outcomes": {"fgsm": forged(range(2), 900)}}, "outcomes of 900 images"),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    options: dict[str, object], message: str, check: Check, digits_net: nn.Module
) -> None:
    with pytest.raises(UserError, match=message):
        check(digits_net, **options)
