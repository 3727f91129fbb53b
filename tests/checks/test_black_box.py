"""Gradient-free attacks must not find what gradient-based attacks miss."""

import numpy as np
import pytest
import torch
from faults import EPS, MakeContext, Wrapped, forged
from torch import Tensor, nn

from robench.checks.entries.black_box import BlackBox
from robench.checks.entries.transfer import Transfer

WHITE = {
    "pgd-20": forged(range(100), backwards=20),
    "pgd-20(loss='margin')": forged(range(90), backwards=20),
}
SQUARE = "torchattacks:Square(n_queries=100)"


def test_queries_that_fool_what_gradients_do_not_fail(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = WHITE | {SQUARE: forged(range(80, 120), backwards=0, forwards=1000)}
    finding = BlackBox().run(make_context(digits_net, board, samples=200))
    assert finding.passed is False
    assert "fools 20 of the 100 " in finding.sentence


def test_queries_that_fool_the_same_samples_and_a_few_more_pass(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = WHITE | {SQUARE: forged(range(60, 103), backwards=0, forwards=1000)}
    finding = BlackBox().run(make_context(digits_net, board, samples=200))
    assert finding.passed, finding.sentence
    assert "fools 3 of the 100 " in finding.sentence


def test_a_column_is_judged_by_the_images_that_it_was_run_on(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    few = forged(range(100, 108), 108, backwards=0, forwards=1000)  # the first 8 that were left
    finding = BlackBox().run(make_context(digits_net, WHITE | {SQUARE: few}, samples=200))
    assert finding.passed is False
    assert "fools 8 of the first 8 images" in finding.sentence


def test_columns_on_fewer_images_do_not_dilute_each_other(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    few = forged(range(100, 103), 103, backwards=0, forwards=1000)
    many = forged(range(0), backwards=0, forwards=1000)
    board = WHITE | {SQUARE: few, "square": many}
    finding = BlackBox().run(make_context(digits_net, board, samples=200))
    assert finding.passed is False
    assert f"{SQUARE} fools 3 of the first 3 images" in finding.sentence


@pytest.mark.parametrize(("count", "replaced"), [(99, False), (131, False), (132, True)])
def test_only_a_column_on_all_images_of_square_replaces_it(
    count: int, replaced: bool, make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = WHITE | {SQUARE: forged(range(90), count, backwards=0, forwards=1000)}
    finding = BlackBox().run(make_context(digits_net, board, samples=200))
    assert finding.sentence.startswith(f"{SQUARE} fools 0 of the first 32 ") is replaced
    assert ("Square with " in finding.sentence) is not replaced


def test_queries_count_of_which_the_answer_was_known(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    known = forged(range(90), backwards=0, forwards=900)
    known.queries[:] = 1000
    finding = BlackBox().run(make_context(digits_net, WHITE | {SQUARE: known}, samples=200))
    assert finding.sentence.startswith(SQUARE)


def test_successes_outside_of_the_ball_say_nothing(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    wide = {"simba": forged(range(200), backwards=0, forwards=1000, size=0.2)}
    finding = BlackBox().run(make_context(digits_net, wide))
    assert finding.passed, finding.sentence
    assert "Square" in finding.sentence  # which is run if no column keeps to the ball
    inside = {"simba": forged(range(200), backwards=0, forwards=1000, size=EPS)}
    assert BlackBox().run(make_context(digits_net, inside | WHITE, samples=200)).passed is False


def test_a_network_without_gradients_is_still_compared_with_query_attacks(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Detached(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.detach())

    finding = BlackBox().run(make_context(Detached(digits_net)))
    assert finding.passed is False, finding.sentence


def test_images_made_on_another_network_fool_one_that_hides_its_gradients(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    class Steps(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.mul(64).round().div(64))

    assert Transfer().run(make_context(Steps(digits_net), source=digits_net)).passed is False
    assert Transfer().run(make_context(digits_net, source=Wrapped(digits_net))).passed is True


def test_without_another_network_there_is_no_transfer(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    for source in (None, digits_net):
        assert Transfer().run(make_context(digits_net, source=source)).passed is None


def test_the_other_network_comes_back_as_it_was(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    source = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)).train()
    before = {name: value.clone() for name, value in source.state_dict().items()}
    Transfer().run(make_context(digits_net, WHITE, source=source))
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert all(module.training for module in source.modules())
    assert all(parameter.requires_grad for parameter in source.parameters())
    assert all(parameter.grad is None for parameter in source.parameters())


def test_nothing_left_by_the_white_box_is_nothing_to_find(
    make_context: MakeContext, digits_net: nn.Module
) -> None:
    board = WHITE | {
        "pgd-20": forged(range(200), backwards=20),
        SQUARE: forged(range(200), backwards=0, forwards=1000),
    }
    finding = BlackBox().run(make_context(digits_net, board))
    assert finding.passed
    assert np.all(board["pgd-20"].fooled)
