"""What needs no gradient must not find what gradients miss."""

import numpy as np
import torch
from faults import EPS, MakeSubject, Wrapped, forged
from torch import Tensor, nn

from robench.checks.black_box import black_box, transfer

WHITE = {
    "pgd-20": forged(range(100), backwards=20),
    "pgd-20(loss='margin')": forged(range(90), backwards=20),
}
SQUARE = "torchattacks:Square(n_queries=100)"


def test_queries_that_fool_what_gradients_do_not_fail(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    board = WHITE | {SQUARE: forged(range(80, 120), backwards=0, forwards=50)}
    finding = black_box(make_subject(digits_net, board, samples=200))
    assert finding.passed is False
    assert "fools 20 of the 100 " in finding.sentence


def test_queries_that_fool_the_same_samples_and_a_few_more_pass(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    board = WHITE | {SQUARE: forged(range(60, 103), backwards=0, forwards=50)}
    finding = black_box(make_subject(digits_net, board, samples=200))
    assert finding.passed, finding.sentence
    assert "fools 3 of the 100 " in finding.sentence


def test_successes_outside_of_the_ball_say_nothing(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    wide = {"simba": forged(range(200), backwards=0, forwards=50, size=0.2)}
    finding = black_box(make_subject(digits_net, wide))
    assert finding.passed, finding.sentence
    assert "Square" in finding.sentence  # which is run where no column keeps to the ball
    inside = {"simba": forged(range(200), backwards=0, forwards=50, size=EPS)}
    assert black_box(make_subject(digits_net, inside | WHITE, samples=200)).passed is False


def test_a_network_without_gradients_is_held_against_queries_all_the_same(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    class Detached(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.detach())

    finding = black_box(make_subject(Detached(digits_net)))
    assert finding.passed is False, finding.sentence


def test_images_made_on_another_network_fool_one_that_hides_its_gradients(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    class Steps(Wrapped):
        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.mul(64).round().div(64))

    assert transfer(make_subject(Steps(digits_net)), digits_net).passed is False
    assert transfer(make_subject(digits_net), Wrapped(digits_net)).passed is True


def test_without_another_network_there_is_no_transfer(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    for source in (None, digits_net):
        assert transfer(make_subject(digits_net), source).passed is None


def test_the_other_network_comes_back_as_it_was(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    source = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)).train()
    before = {name: value.clone() for name, value in source.state_dict().items()}
    transfer(make_subject(digits_net, WHITE), source)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert all(module.training for module in source.modules())
    assert all(parameter.requires_grad for parameter in source.parameters())
    assert all(parameter.grad is None for parameter in source.parameters())


def test_nothing_left_by_the_white_box_is_nothing_to_find(
    make_subject: MakeSubject, digits_net: nn.Module
) -> None:
    board = WHITE | {
        "pgd-20": forged(range(200), backwards=20),
        SQUARE: forged(range(200), backwards=0, forwards=9),
    }
    finding = black_box(make_subject(digits_net, board))
    assert finding.passed
    assert np.all(board["pgd-20"].fooled)
