"""The attacks that know how a model of the zoo hides from PGD."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import robench

sys.path.append(str(Path(robench.__file__).resolve().parents[1] / "benchmarks"))

from zoo.adaptive import (
    Search,
    bpda,
    by_majority,
    eot,
    on_fresh,
    one_after_another,
    square,
    undefended,
)
from zoo.entry import THREAT_MODEL
from zoo.parts import Defended, flat, with_gradient_of

IMAGES = torch.full((6, 1, 2, 2), 0.5)
LABELS = torch.tensor([0, 0, 0, 1, 1, 1])
FRAGILE = torch.tensor([False, False, True, False, False, True])
"""The images whose brightness cannot be changed enough."""


class ByBrightness(nn.Module):
    """Class 1 if the mean of the image is above 1/2."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(images)), images.flatten(1).mean(1) - 0.5], 1)


def images() -> Tensor:
    change = torch.tensor([-0.02, -0.08, -0.15, 0.02, 0.08, 0.15])
    return IMAGES + change.reshape(-1, 1, 1, 1)


def noisy(x: Tensor) -> Tensor:
    return x + 0.02 * torch.randn_like(x)


@pytest.mark.parametrize(
    ("before", "attack"),
    [
        (lambda x: with_gradient_of(x, -x), Search(undefended)),
        (lambda x: flat(x, x), bpda()),
        (lambda x: flat((255 * x).round() / 255, x), bpda()),
        (noisy, eot()),
        (lambda x: flat(x.round(decimals=3), x), square(100)),
        (lambda x: flat(x, x), one_after_another(square(1), bpda())),
    ],
    ids=["reversed", "flat", "rounded", "random", "queries", "two attacks"],
)
def test_it_finds_what_the_defense_hides(
    before: Callable[[Tensor], Tensor], attack: Callable[..., Tensor]
) -> None:
    model = Defended(before=before, inside=ByBrightness())
    assert attack(model, images(), LABELS).tolist() == FRAGILE.tolist()


def test_images_that_the_model_gets_wrong_do_not_survive() -> None:
    model = Defended(inside=ByBrightness())
    assert not Search()(model, images(), 1 - LABELS).any()


def test_what_it_shows_the_model_is_in_the_ball() -> None:
    shown: list[Tensor] = []

    def right(_: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        shown.append(x)
        return torch.ones_like(labels, dtype=torch.bool)

    assert Search(right=right)(Defended(inside=ByBrightness()), images(), LABELS).all()
    first, *found = shown
    assert torch.equal(first, images())
    for x in found:
        assert ((x - images()).abs() <= THREAT_MODEL.eps + 1e-6).all()
        assert ((x >= 0) & (x <= 1)).all()


def test_a_detector_is_shown_what_it_lets_pass() -> None:
    class Detector(ByBrightness):
        def forward(self, images: Tensor) -> Tensor:
            cautious = super().forward((images - 0.5).sign() * 0.3 + 0.5)
            passed = (images[:, :, :1, :1] > 0.45).flatten(1) & (
                images[:, :, :1, :1] < 0.55
            ).flatten(1)
            return torch.where(passed, super().forward(images), cautious)

    def repair(x: Tensor, _: Tensor) -> Tensor:
        return x.index_fill(2, torch.tensor([0]), 0.5)

    search = Search(lambda _: ByBrightness(), repair=repair)
    assert not search(Detector(), images()[:1], LABELS[:1]).any()


def test_a_majority_decides_about_a_random_model() -> None:
    class Coin(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            heads = (torch.rand(len(images)) < 0.8).float()
            return torch.stack([heads, 1 - heads], 1)

    torch.manual_seed(0)
    assert by_majority(101)(Coin(), IMAGES, torch.zeros(6, dtype=torch.int64)).all()


def test_a_fresh_copy_remembers_nothing() -> None:
    class Stubborn(ByBrightness):
        def __init__(self) -> None:
            super().__init__()
            self.first: Tensor | None = None

        def forward(self, images: Tensor) -> Tensor:
            logits = super().forward(images)
            self.first = logits.detach() if self.first is None else self.first
            return flat(self.first[: len(images)], images)

    model = Stubborn()
    model(images())
    assert Search(lambda _: ByBrightness())(model, images(), LABELS).all()
    search = Search(lambda _: ByBrightness(), right=on_fresh(Stubborn))
    assert search(model, images(), LABELS).tolist() == FRAGILE.tolist()


def test_a_value_keeps_its_bits_and_takes_the_gradient_of_the_surrogate() -> None:
    x = torch.tensor([[0.1, 0.7]], requires_grad=True)
    replaced = with_gradient_of(x, -3 * x)
    assert torch.equal(replaced, x)
    assert torch.autograd.grad(replaced.sum(), x)[0].tolist() == [[-3, -3]]
    assert torch.autograd.grad(flat(x, x).sum(), x)[0].tolist() == [[0, 0]]
