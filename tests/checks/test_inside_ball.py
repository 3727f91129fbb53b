"""Perturbations stay inside their balls."""

from faults import EPS, MakeContext, forged
from torch import nn

from robench.checks.entries.inside_ball import InsideBall


def test_perturbations_of_the_full_radius_pass(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = {"pgd-20": forged(range(9)), "simba": forged(range(9), size=0.2)}
    finding = InsideBall().run(make_context(digits_net, board))
    assert finding.passed, finding.sentence


def test_a_larger_perturbation_than_the_column_claims_is_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = InsideBall().run(
        make_context(digits_net, {"fgsm": forged(range(9), size=1.01 * EPS)})
    )
    assert finding.passed is False
    assert "fgsm claims Linf 0.1 but moves an image by 0.101" in finding.sentence


def test_a_change_of_more_than_one_has_left_the_pixels_even_without_a_ball(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    finding = InsideBall().run(make_context(digits_net, {"simba": forged(range(9), size=1.2)}))
    assert finding.passed is False
    assert "outside of [0, 1]" in finding.sentence


def test_a_size_that_is_not_a_number_is_named(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = {"fgsm": forged(range(9), size=float("nan"))}
    assert InsideBall().run(make_context(digits_net, board)).passed is False


def test_nothing_attacked_is_nothing_to_measure(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    assert InsideBall().run(make_context(digits_net)).passed is None
