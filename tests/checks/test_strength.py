"""Attacks that must not be weaker than others, compared on the same samples."""

import pytest
from faults import MakeContext, forged, has_form
from torch import nn

from robench.checks.entries.more_restarts import MoreRestarts
from robench.checks.entries.more_steps import MoreSteps
from robench.checks.entries.noise_floor import NoiseFloor
from robench.checks.entries.other_loss import OtherLoss
from robench.checks.entries.single_step import SingleStep
from robench.checks.report import Finding

MANY = {"backwards": 20, "forwards": 20}
BOARD = {
    "pgd-20": forged(range(120), **MANY),
    "fgsm": forged(range(100)),
    "noise": forged(range(5), backwards=0, forwards=0),
    "pgd-100": forged(range(122), **MANY),
    "pgd-20(restarts=5)": forged(range(125), **MANY),
}


CHECKS = {
    "single_step": (SingleStep(), "fgsm"),
    "noise_floor": (NoiseFloor(), "noise"),
    "more_steps": (MoreSteps(), "pgd-20"),
    "more_restarts": (MoreRestarts(), "pgd-20"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_it_passes_if_the_stronger_attack_is_stronger(
    name: str, make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = CHECKS[name][0].run(make_context(digits_net, BOARD))
    assert (finding.check, finding.passed) == (name, True), finding.sentence


@pytest.mark.parametrize("name", CHECKS)
def test_it_fails_if_the_weaker_attack_fools_more_than_chance_explains(
    name: str, make_context: MakeContext, digits_net: nn.Module
) -> None:
    check, weak = CHECKS[name]
    finding = check.run(make_context(digits_net, BOARD | {weak: forged(range(180), **MANY)}))
    assert (finding.check, finding.passed) == (name, False), finding.sentence
    assert "10.0%" in finding.sentence  # the accuracy that the weaker attack leaves


def test_a_few_samples_lost_to_the_last_iterate_are_not_a_failure(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    # PGD loses five samples that FGSM wins, and wins two that FGSM loses: a bare inequality fails.
    board = BOARD | {"pgd-20": forged(range(5, 102), **MANY), "fgsm": forged(range(100))}
    finding = SingleStep().run(make_context(digits_net, board))
    assert finding.passed, finding.sentence
    assert "51.5%" in finding.sentence
    assert "50.0%" in finding.sentence


@pytest.mark.parametrize(
    ("fooled", "passed"),
    [
        (range(116), True),  # 8 points more
        (range(60, 177), True),  # 8.5 points more, but each loss finds what the other misses
        (range(118), False),
    ],
)
def test_the_other_loss_may_find_a_few_images_more(
    fooled: range, passed: bool, make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = {"pgd-20": forged(range(100), **MANY)}
    board["pgd-20(loss='margin')"] = forged(fooled, **MANY)
    finding = OtherLoss().run(make_context(digits_net, board))
    assert finding.passed is passed, finding.sentence
    assert has_form(finding), finding.sentence
    if not passed:
        assert "50.0% of 200 images on the cross-entropy and 41.0% on the margin" in (
            finding.sentence
        )
        assert finding.best_effort is not None


def test_what_the_board_has_is_not_attacked_again(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    context = make_context(digits_net, BOARD)
    for check, _ in CHECKS.values():
        check.run(context)
    assert context.own == []


def test_columns_of_the_board_that_differ_in_steps_alone_are_compared(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = BOARD | {"pgd-10": forged(range(160), **MANY)}
    finding = MoreSteps().run(make_context(digits_net, board))
    assert finding.passed is False
    assert "10 steps leave 20.0%" in finding.sentence


def test_columns_of_other_balls_are_not_compared(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = BOARD | {"pgd-10(eps=0.5)": forged(range(200), size=0.5, **MANY)}
    finding: Finding = MoreSteps().run(make_context(digits_net, board))
    assert finding.passed, finding.sentence
