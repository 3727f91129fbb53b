"""Accuracy as a function of the radius."""

import pytest
import torch
from faults import EPS, STEP, MakeContext, Wrapped, forged, has_form
from torch import Tensor, nn

from robench.base import ThreatModel
from robench.checks.entries.eps_sweep import EpsSweep


def test_accuracy_falls_to_zero_on_an_honest_network(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(digits_net)
    falls, large = EpsSweep().run(context)
    assert falls.passed, falls.sentence
    assert large.passed, large.sentence
    accuracies = [accuracy for _, accuracy in context.curve]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > 0.9
    assert accuracies[-1] == 0


def test_the_curve_goes_from_no_ball_to_one_that_holds_everything(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(digits_net)
    sizes = EpsSweep().radii(context)
    assert sizes == sorted(set(sizes))
    assert EPS in sizes
    assert sizes[-1] == 1
    context.threat_model = ThreatModel("l2", EPS)
    assert EpsSweep().radii(context)[-1] == 8  # the square root of 64 pixels


def test_an_attack_that_is_weaker_in_a_larger_ball_is_reported(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    small = f"pgd-20(eps={(half := EPS / 2)!r}, step_size={STEP * half / EPS!r})"
    board = {small: forged(range(40), backwards=20), "pgd-20": forged(range(5), backwards=20)}
    falls, _ = EpsSweep().run(make_context(digits_net, board))
    assert falls.passed is False
    assert "20.0% at Linf 0.05 but 90.0% in the larger ball of Linf 0.1" in falls.sentence


def test_a_network_that_no_ball_fools_is_reported(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Steps(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.mul(4).round().div(4))

    context = make_context(Steps(digits_net))
    _, large = EpsSweep().run(context)
    assert large.passed is False, large.sentence
    assert "more than the 10.0% of guessing" in large.sentence
    assert context.curve[-1][1] > 0.2


def test_a_network_that_always_gives_one_answer_is_not_reported(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class One(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return 0.01 * self.net(images) + torch.eye(10)[3]

    context = make_context(One(digits_net))
    _, large = EpsSweep().run(context)
    assert [context.curve[0][1], context.curve[-1][1]] == pytest.approx([0.1, 0.1])
    assert large.passed, large.sentence
    assert has_form(large)


def test_a_network_that_is_never_right_cannot_be_evaluated(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(digits_net)
    context.labels = (context.labels + 5) % 10
    context.labels[:] = torch.where(context.correct, (context.labels + 1) % 10, context.labels)
    del context.correct  # cached for the previous labels
    findings = EpsSweep().run(context)
    assert [finding.passed for finding in findings] == [None, None]
