"""PGD comes to rest, and ends in another class where it has passed through one."""

from typing import cast

import pytest
import torch
from faults import MakeContext, Wrapped, forged, has_form
from torch import Tensor, nn

from robench.checks import Check
from robench.checks.entries.incomplete_optimization import IncompleteOptimization
from robench.checks.entries.silent_success import SilentSuccess
from robench.checks.trajectory import Trajectories, trajectories
from robench.errors import UserError

CHECKS = (IncompleteOptimization(), SilentSuccess())


@pytest.mark.parametrize("check", CHECKS)
def test_honest_networks_pass(
    check: Check, make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = check.run(make_context(digits_net))
    assert finding.passed, finding.sentence
    assert has_form(finding), finding.sentence


def followed(losses: Tensor, fooled: Tensor | None = None) -> Trajectories:
    """Return trajectories of 40 images, all of which have these losses."""
    many = losses[:, None].expand(21, 40)
    none = torch.zeros(21, 40, dtype=torch.bool)
    return Trajectories(torch.arange(40), many, none if fooled is None else fooled)


@pytest.mark.parametrize(
    ("losses", "fooled", "passed"),
    [
        (torch.linspace(-9, -1, 21), range(40), False),  # rising to the end, and more steps win
        (torch.linspace(-9, -1, 21), range(10), True),  # rising, but more steps do not
        (torch.linspace(-9, -1, 21).clamp(max=-5), range(40), True),  # at rest
    ],
)
def test_an_attack_that_ends_too_early_is_named_if_more_steps_win(
    losses: Tensor,
    fooled: range,
    passed: bool,
    make_context: MakeContext,
    digits_net: nn.Module,
) -> None:
    columns = {
        "pgd-20": forged(range(9), backwards=20),
        "pgd-100": forged(fooled, backwards=100),
        "apgd(steps=50)": forged(range(9), backwards=50),
    }
    context = make_context(digits_net, columns)
    context.memo[trajectories.__globals__["_follow"]] = followed(losses)
    finding = IncompleteOptimization().run(context)
    assert finding.passed is passed, finding.sentence
    assert has_form(finding), finding.sentence
    assert (finding.best_effort is None) is passed


@pytest.mark.parametrize(
    ("fooled", "passed"),
    [
        (range(40), False),  # at rest, but steps that adapt go on
        (range(25), True),  # 8 points: not far
        (range(26, 66), True),  # others, as many more as fewer
    ],
)
def test_an_attack_that_rests_too_early_is_named_if_apgd_finds_far_more(
    fooled: range, passed: bool, make_context: MakeContext, digits_net: nn.Module
) -> None:
    few = range(9) if fooled.start == 0 else range(26)
    columns = {
        "pgd-20": forged(few, backwards=20),
        "pgd-100": forged(few, backwards=100),
        "apgd(steps=50)": forged(fooled, backwards=50),
    }
    context = make_context(digits_net, columns)
    at_rest = torch.linspace(-9, -1, 21).clamp(max=-5)
    context.memo[trajectories.__globals__["_follow"]] = followed(at_rest)
    finding = IncompleteOptimization().run(context)
    assert finding.passed is passed, finding.sentence
    assert f"steps of APGD {100 * (1 - len(fooled) / 200):.1f}%" in finding.sentence
    assert has_form(finding), finding.sentence
    assert finding.best_effort == (None if passed else 0.2)


@pytest.mark.parametrize(("crossed", "passed"), [(3, True), (20, False)])
def test_adversarial_iterates_that_are_lost_again_are_named(
    crossed: int, passed: bool, make_context: MakeContext, digits_net: nn.Module
) -> None:
    fooled = torch.zeros(21, 40, dtype=torch.bool)
    fooled[7, :crossed] = True
    context = make_context(digits_net)
    context.memo[trajectories.__globals__["_follow"]] = followed(torch.zeros(21), fooled)
    finding = SilentSuccess().run(context)
    assert finding.passed is passed
    assert f"Of 40 images left by PGD {crossed} were" in finding.sentence
    assert has_form(finding), finding.sentence


def test_a_network_that_is_fooled_everywhere_has_nothing_to_lose(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Steep(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(4 * (images - 0.5) + 0.5)

    for check in CHECKS:
        context = make_context(Steep(digits_net))
        context.memo[trajectories.__globals__["_follow"]] = followed(
            torch.zeros(21), torch.ones(21, 40, dtype=torch.bool)
        )
        finding = check.run(context)
        assert finding.passed
        assert has_form(finding), finding.sentence


@pytest.mark.parametrize("check", [IncompleteOptimization, SilentSuccess])
def test_without_an_image_that_is_right_there_is_nothing_to_follow(
    check: type[Check], make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Wrong(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return -cast(Tensor, digits_net(images))

    context = make_context(Wrong())
    assert not context.correct.any()
    with pytest.raises(UserError, match="gets no image right"):
        check().run(context)
