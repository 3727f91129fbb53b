"""All checks of a network: masked gradients are flagged, honest networks are not."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from faults import EPS, STEP, Wrapped, attack, forged
from torch import Tensor, nn

import robench as package
from robench.base import ThreatModel
from robench.checks import Report, check_model, default_checks
from robench.checks.order import build_checks
from robench.checks.report import VERSION
from robench.data import load_dataset
from robench.errors import UserError
from robench.progress import Progress

THREAT = ThreatModel("linf", EPS)
WITH_BINARIZATION = [*default_checks(), "binarization"]

RunChecks = Callable[..., Report]


@pytest.fixture
def check(digits: tuple[Tensor, Tensor]) -> RunChecks:
    def run(model: nn.Module, **options: object) -> Report:
        settings = {"threat_model": THREAT, "step_size": STEP, "samples": 64, **options}
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


class Quantized(Wrapped):
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
        (
            Quantized,
            ["large_eps", "black_box", "zero_gradients", "loss_rises", "discontinuous"],
        ),
        (Noisy, ["same_logits"]),
    ],
)
def test_masked_gradients_are_caught_by_name(
    masked: type[Wrapped], named: list[str], check: RunChecks, digits_net: nn.Module
) -> None:
    assert check(masked(digits_net)).failed == named


def test_a_network_trained_normally_is_not_flagged(check: RunChecks, digits_net: nn.Module) -> None:
    report = check(digits_net, source=trained("batchnorm"))
    assert report.failed == []
    assert all(finding.passed for finding in report.findings)


@pytest.mark.parametrize("defense", ["batchnorm", "convnorm"])
def test_a_network_trained_adversarially_is_not_flagged(
    defense: str, check: RunChecks, digits_net: nn.Module
) -> None:
    report = check(trained(defense), source=digits_net, samples=40)
    assert report.failed == []
    assert all(finding.passed for finding in report.findings)


def test_it_leaves_the_network_and_the_random_state_alone(
    check: RunChecks, digits_net: nn.Module
) -> None:
    model = Noisy(copy.deepcopy(digits_net)).train()
    model.zero_grad()
    modes = [m.training for m in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    check(model, samples=8, checks=WITH_BINARIZATION)
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
        check_model(model, images, sample.labels, THREAT, step_size=STEP)
        for images in (sample.images, sample.images.float() / 255)
    )
    assert whole == real


def test_what_the_board_found_is_used(check: RunChecks, digits_net: nn.Module) -> None:
    outcomes = {"pgd-20": forged(range(10), backwards=20), "fgsm": forged(range(150))}
    columns = {name: (attack(name), found) for name, found in outcomes.items()}
    assert "single_step" in check(digits_net, columns=columns, samples=8).failed


def test_a_network_without_gradients_is_checked_by_what_needs_none(
    check: RunChecks, digits_net: nn.Module
) -> None:
    class Detached(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.detach())

    report = check(Detached(digits_net))
    assert report.failed == ["black_box", "zero_gradients"]
    assert report["more_steps"].passed is None
    assert "no gradient with respect to its images" in report["more_steps"].sentence


def test_a_network_that_raises_in_an_attack_does_not_crash_the_checks(
    check: RunChecks, digits_net: nn.Module
) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                raise ValueError("no such thing")
            logits: Tensor = digits_net(images)
            return logits

    report = check(Broken(), checks=WITH_BINARIZATION)
    assert report["more_steps"].passed is None
    assert "no such thing" in report["more_steps"].sentence


class Returns(nn.Module):
    """Returns something that is made of the network's logits."""

    def __init__(self, network: nn.Module, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network, self.make = network, make

    def forward(self, images: Tensor) -> Any:
        return self.make(self.network(images))


def _raise(logits: Tensor) -> None:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda logits: (logits, 1), "tuple"),
        (lambda logits: logits[:, :5], "the model has 5 classes but a label is 9"),
        (lambda logits: logits[:, :1], "one logit per image"),
        (_raise, "no such thing"),
    ],
)
def test_what_cannot_be_checked_is_no_network_without_failures(
    check: RunChecks, digits_net: nn.Module, make: Callable[[Tensor], Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        check(Returns(digits_net, make))


@pytest.mark.parametrize("checks", [["same_logits"], ["loss_rises"]])
def test_a_lack_of_memory_is_no_finding(
    check: RunChecks, checks: list[str], digits_net: nn.Module
) -> None:
    def fail(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    digits_net.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        check(digits_net, checks=checks)


def test_a_ball_in_the_euclidean_norm_is_checked_too(
    check: RunChecks, digits_net: nn.Module
) -> None:
    report = check(
        digits_net, threat_model=ThreatModel("l2", 0.5), samples=24, checks=WITH_BINARIZATION
    )
    assert report.failed == []
    assert report.curve[-1] == (8.0, 0.0)


def test_each_check_has_one_finding_with_a_sentence(
    check: RunChecks, digits_net: nn.Module
) -> None:
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
        ({"threat_model": ThreatModel("linf", 0.0)}, "a radius above 0"),
        ({"threat_model": ThreatModel("l1", 0.5)}, "linf or l2"),
        ({"threat_model": ThreatModel("linf", 8.0)}, "pixels lie in"),
        ({"samples": 0}, "samples is 0"),
        ({"without": ("foldin",)}, "folding"),
        ({"columns": {"fgsm": (attack("fgsm"), forged(range(2), 900))}}, "outcomes of 900 images"),
    ],
)
def test_bad_input_is_reported_in_a_sentence(
    options: dict[str, object], message: str, check: RunChecks, digits_net: nn.Module
) -> None:
    with pytest.raises(UserError, match=message):
        check(digits_net, **options)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        (["any_bacth"], "any_batch"),
        (["more_steps(step=5)"], "steps"),
        (["more_restarts(restarts=0)"], "restarts = 0: write 1 or more"),
        (["eps_sweep(multiples=(1, 0.5))"], "multiples must be positive and in rising order"),
        (["any_batch", "any_batch(images=5)"], "two checks would report 'any_batch'"),
    ],
)
def test_checks_that_cannot_be_run_are_refused_in_a_sentence(
    checks: list[str], message: str, check: RunChecks, digits_net: nn.Module
) -> None:
    with pytest.raises(UserError, match=message):
        check(digits_net, checks=checks)


def test_an_unknown_option_is_refused_with_the_nearest(
    check: RunChecks, digits_net: nn.Module
) -> None:
    with pytest.raises(UserError, match=r"no option 'sample'.*samples"):
        check(digits_net, sample=8)


def test_checks_that_are_named_run_in_the_order_of_reports_with_their_options(
    check: RunChecks, digits_net: nn.Module
) -> None:
    report = check(digits_net, checks=["inside_ball", "more_steps(steps=30)"], samples=8)
    assert [finding.check for finding in report.findings] == ["more_steps", "inside_ball"]
    assert "PGD with 30 steps" in report["more_steps"].sentence


def test_the_list_of_checks_changes_with_the_version_of_reports_only() -> None:
    # Stored and published reports of this version count as complete: one that lacks a check would.
    assert VERSION == 4
    names = [name for check in build_checks(WITH_BINARIZATION) for name in check.findings]
    assert names == [
        "stateful",
        "eps_curve", "large_eps", "single_step", "noise_floor", "more_steps", "more_restarts",
        "black_box", "transfer", "finite_gradients", "zero_gradients", "saturated_loss",
        "loss_rises", "same_logits", "any_batch", "inside_ball", "train_eval_gap", "binarization",
        "saturated_probability", "probability_outputs", "autograd_in_forward", "wrong_gradient",
        "rough_logits", "unstable_gradient", "discontinuous", "other_loss",
        "zero_gradients_by_class", "incomplete_optimization", "silent_success", "batch_dependence",
        "restricted",
    ]  # fmt: skip


@dataclass(frozen=True)
class Mine(package.Check):
    """A third-party check."""

    findings = ("mine",)
    says: tuple[str, ...] = ("mine",)

    def run(self, context: package.CheckContext) -> list[package.Finding]:
        return [package.Finding(name, True, "It is fine.") for name in self.says]


def test_a_third_party_check_runs_after_the_built_in_ones(
    check: RunChecks, digits_net: nn.Module
) -> None:
    report = check(digits_net, checks=[Mine(), "any_batch"], samples=8)
    assert [finding.check for finding in report.findings] == ["any_batch", "mine"]
    assert report["mine"].passed


def test_a_check_that_does_not_return_what_it_declares_is_inconclusive(
    check: RunChecks, digits_net: nn.Module
) -> None:
    report = check(digits_net, checks=[Mine(says=("yours",))], samples=8)
    assert report["mine"].passed is None
    assert "Mine returned the findings ('yours',)" in report["mine"].sentence
