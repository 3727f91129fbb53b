"""Corruptions as columns: they never call the model, and clean mistakes get them, too."""

import pytest
import torch
from torch import Tensor, nn

from robench import UserError, evaluate
from robench.attack_tools.corruptions import CORRUPTIONS
from robench.attack_tools.randomness import generators
from robench.attacks.corruption import Corruption
from robench.board.attack_calls import expand_calls


class BrighterThanHalf(nn.Module):
    """Class 1 if the mean of an image is above 0.5."""

    def forward(self, images: Tensor) -> Tensor:
        excess = images.flatten(1).mean(1) - 0.5
        return torch.stack([-excess, excess], 1)


def test_it_never_calls_the_model() -> None:
    def never(_: Tensor) -> Tensor:
        raise AssertionError("a corruption called the model")

    images = torch.full((3, 1, 8, 8), 0.5)
    found = Corruption().perturb(never, images, torch.zeros(3).long(), generators(0, range(3)))
    assert found.queries is not None
    assert found.queries.tolist() == [0, 0, 0]


def test_together_or_alone_the_images_are_the_same() -> None:
    images, labels = torch.rand(4, 3, 16, 16), torch.zeros(4).long()
    attacks = [Corruption(kind=kind) for kind in ("fog", "gaussian_noise", "glass_blur")]
    together = Corruption.perturb_together(
        attacks, BrighterThanHalf(), images, labels, generators(0, range(4))
    )
    for attack, found in zip(attacks, together, strict=True):
        alone = attack.perturb(BrighterThanHalf(), images, labels, generators(0, range(4)))
        assert torch.equal(found.images, alone.images)


def test_a_clean_mistake_that_a_corruption_puts_right_counts() -> None:
    images = torch.stack([torch.full((1, 8, 8), level / 255) for level in (110, 40, 200)])
    labels = torch.tensor([1, 1, 1])  # the first two are clean mistakes
    found = evaluate(BrighterThanHalf(), images, labels, ["corruption(kind='brightness')"])
    outcomes = found.attacks["corruption(kind='brightness', severity=3)"]
    assert outcomes.correct.tolist() == [False, False, True]
    assert outcomes.robust.tolist() == [True, False, True]


def test_attacks_beside_it_still_leave_clean_mistakes_alone() -> None:
    images, labels = torch.full((2, 1, 8, 8), 0.4), torch.tensor([1, 1])
    found = evaluate(BrighterThanHalf(), images, labels, ["noise", "corruption(severity=1)"])
    assert found.attacks["noise"].linf.max() == 0
    assert len(found.corruptions) == len(CORRUPTIONS)


def test_the_mean_is_over_all_corruptions() -> None:
    images, labels = torch.rand(6, 3, 8, 8), torch.tensor([0, 1] * 3)
    found = evaluate(BrighterThanHalf(), images, labels, ["corruption(severity=5)"])
    each = [outcomes.accuracy for outcomes in found.attacks.values()]
    assert found.corruption_accuracy() == pytest.approx(sum(each) / len(each))
    last = found.table().iloc[-1]
    assert last["attack"] == "mean over 15 corruptions"
    assert last["accuracy"] == found.corruption_accuracy()


@pytest.mark.parametrize(
    ("call", "count"),
    [
        ("corruption", 75),
        ("corruption(severity=2)", 15),
        ("corruption(kind='fog')", 5),
        ("corruption(kind='fog', severity=2)", 1),
        ("pgd-20(eps=4/255)", 1),
    ],
)
def test_a_call_stands_for_what_it_leaves_open(call: str, count: int) -> None:
    columns = expand_calls([call])
    assert len(set(columns)) == count
    assert expand_calls(columns) == columns
    if count == 1:
        assert columns == [call]


def test_an_unknown_kind_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'fogg' is not a corruption; did you mean 'fog'"):
        Corruption(kind="fogg")


@pytest.mark.parametrize("severity", [0, 6])
def test_a_severity_out_of_range(severity: int) -> None:
    with pytest.raises(UserError, match=f"severity is {severity}; it goes from 1 to 5"):
        Corruption(severity=severity)


@pytest.mark.parametrize("shape", [(2, 32, 32), (3, 65, 65)])
def test_images_for_which_the_strengths_are_not_meant(shape: tuple[int, ...]) -> None:
    images, labels = torch.zeros(1, *shape), torch.zeros(1).long()
    with pytest.raises(UserError, match="for images of 1 or 3 channels and at most 64x64"):
        Corruption().perturb(BrighterThanHalf(), images, labels, generators(0, range(1)))
