"""Losses for certified radii: against the papers' formulas, and for logits of any size."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from robench.board.specs import TrainingSpec
from robench.training.methods.lipschitz_margin import LipschitzMarginTraining, margins

CLASSES = 4
seeds = st.integers(0, 999)


def batch(seed: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(6, CLASSES, generator=generator, dtype=torch.float64)
    return logits, torch.randint(CLASSES, (6,), generator=generator)


def plainly(logits: Tensor, labels: Tensor, method: LipschitzMarginTraining) -> float:
    """The formula of the module, image by image, in Python's numbers."""
    u, t, total = method.offset, method.temperature, 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        shifted = [(s - u * (j == label)) / t for j, s in enumerate(row)]
        p = math.exp(shifted[label]) / sum(map(math.exp, shifted))
        margin = row[label] - max(s for j, s in enumerate(row) if j != label)
        total -= t * (1 - p) ** method.annealing * math.log(p)
        total -= method.gamma * max(margin, 0) / math.sqrt(2)
    return total / len(labels)


@settings(deadline=None, max_examples=40)
@given(seeds, st.floats(0, 4), st.floats(0.2, 3), st.sampled_from([0, 1, 2.5, 5]), st.floats(0, 1))
def test_it_is_the_formula(
    seed: int, offset: float, temperature: float, annealing: float, gamma: float
) -> None:
    logits, labels = batch(seed)
    method = LipschitzMarginTraining(offset, temperature, annealing, gamma)
    found = float(method.loss(logits, labels))
    assert found == pytest.approx(plainly(logits, labels, method), rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(seeds, st.floats(0.1, 100))
def test_by_default_it_is_cross_entropy_to_the_bit(seed: int, scale: float) -> None:
    logits, labels = (part.float() if part.is_floating_point() else part for part in batch(seed))
    loss = LipschitzMarginTraining().loss
    assert torch.equal(loss(scale * logits, labels), F.cross_entropy(scale * logits, labels))


PAPERS = [
    LipschitzMarginTraining(2**0.5, 0.25),
    LipschitzMarginTraining(gamma=0.5),
    LipschitzMarginTraining(2 * 2**0.5, 0.75, annealing=5),
    LipschitzMarginTraining(1, 0.5, annealing=1, gamma=0.1),
]


@pytest.mark.parametrize("method", PAPERS, ids=str)
def test_its_gradient_is_that_of_finite_differences(method: LipschitzMarginTraining) -> None:
    logits, labels = batch(7)
    assert torch.autograd.gradcheck(lambda z: method.loss(z, labels), logits.requires_grad_())


@pytest.mark.parametrize("method", PAPERS, ids=str)
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e4, 1e30])
def test_loss_and_gradient_are_finite_for_logits_of_any_size(
    method: LipschitzMarginTraining, scale: float
) -> None:
    logits, labels = batch(3, scale)
    logits = logits.float().requires_grad_()
    loss = method.loss(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@settings(deadline=None, max_examples=20)
@given(seeds, st.floats(0.1, 10), st.sampled_from([0, 2, 5]))
def test_offset_and_temperature_have_the_units_of_logits(
    seed: int, lipschitz: float, annealing: float
) -> None:
    logits, labels = batch(seed)
    one = LipschitzMarginTraining(1.5, 0.25, annealing, 0.3)
    other = LipschitzMarginTraining(1.5 * lipschitz, 0.25 * lipschitz, annealing, 0.3)
    torch.testing.assert_close(
        other.loss(lipschitz * logits, labels), lipschitz * one.loss(logits, labels)
    )


@settings(deadline=None, max_examples=20)
@given(seeds, st.floats(0.01, 3))
def test_an_offset_is_a_margin_that_counts_as_none(seed: int, offset: float) -> None:
    logits, labels = batch(seed)
    raised = logits + offset * F.one_hot(labels, CLASSES)
    plain = F.cross_entropy(logits, labels)
    torch.testing.assert_close(LipschitzMarginTraining(offset).loss(raised, labels), plain)


def test_annealing_leaves_images_alone_that_have_their_margin() -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    logits = torch.tensor([[6.0, 0, 0], [0.5, 0, 0]], requires_grad=True)

    def share(annealing: float) -> float:
        loss = LipschitzMarginTraining(1, 1, annealing).loss(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits)
        sure, unsure = gradient.norm(dim=1)
        return float(sure / unsure)

    assert share(5) < 1e-6 < 1e-3 < share(0)


def test_margins_are_over_the_best_other_class() -> None:
    logits = torch.tensor([[3.0, 1, 2], [3, 1, 2]])
    assert margins(logits, torch.tensor([0, 1])).tolist() == [1, -2]


def test_only_images_that_are_classified_correctly_are_rewarded() -> None:
    logits = torch.tensor([[3.0, 1, 2], [3, 1, 2]], requires_grad=True)
    labels = torch.tensor([0, 1])
    rewarded = LipschitzMarginTraining(gamma=1).loss(logits, labels)
    (gradient,) = torch.autograd.grad(rewarded - F.cross_entropy(logits, labels), logits)
    expected = torch.tensor([[-1.0, 0, 1], [0, 0, 0]]) / 2 / 2**0.5
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("offset=-1", "offset is -1: it must be 0 or more"),
        ("temperature=0", "temperature is 0: it must be above 0"),
        ("annealing=0.5", "annealing is 0.5: it must be 0, or 1 or more"),
        ("gamma=-0.5", "gamma is -0.5: it must be 0 or more"),
        ("margin=1", "no option 'margin'"),
    ],
)
def test_options_out_of_range_are_refused(options: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TrainingSpec(method=f"lipschitz_margin({options})")


def test_a_board_names_it_with_its_options() -> None:
    spec = TrainingSpec(method="lipschitz_margin(offset=1.5, temperature=0.25)")
    assert spec.build_method() == LipschitzMarginTraining(1.5, 0.25)
